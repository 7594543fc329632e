"""Harm done to real runs, and whether anything is lost: ``python -m hardening.faults``."""
