"""Deliberate mistakes in the PyTorch version, each with the check that must be the first to catch it.

They are typical of ports between JAX and PyTorch, or of this model's packed rows, masks and devices.
"""

from parity_tests.bugs import forward, runs, steps, weights, words
from parity_tests.bugs.registry import BUGS

__all__ = ["BUGS", "forward", "runs", "steps", "weights", "words"]
