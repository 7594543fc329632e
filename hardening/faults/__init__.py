"""Faults injected into real runs, to check that nothing is lost: ``python -m hardening.faults``."""
