"""Proof that the twins are the same model: errors, bars and what to compare."""
