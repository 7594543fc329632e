"""Proof that the Flax and PyTorch versions are the same model: errors, bars and checks."""
