"""Mistakes put into the PyTorch twin on purpose, each with the rung of the ladder that must be the first to see it.

They are those that ports between JAX and PyTorch are known for, and those that this model's packed rows, masks and
devices invite.
"""

from parity_tests.bugs import forward, runs, steps, weights, words
from parity_tests.bugs.registry import BUGS

__all__ = ["BUGS", "forward", "runs", "steps", "weights", "words"]
