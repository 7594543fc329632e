"""Faults in runs and files on purpose: nothing may be lost, and no hostile file obeyed."""
