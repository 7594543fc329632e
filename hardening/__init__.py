"""Harm done to runs and files on purpose, to see that nothing is lost and nothing is obeyed."""
