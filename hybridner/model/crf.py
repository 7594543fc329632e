"""The transitions that a conditional random field allows, as a function of the number of labels."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

FORBIDDEN = -1e4
"""Score of a transition that is not allowed: its exponential is 0 in float32 and float64, and it has no gradient."""


class Allowed(NamedTuple):
    """The valid BIOES sequences, as masks of the three tensors of transition scores."""

    start: Bool[np.ndarray, "num_labels"]
    between: Bool[np.ndarray, "num_labels num_labels"]
    end: Bool[np.ndarray, "num_labels"]


@lru_cache(maxsize=8)
def allowed_transitions(num_labels: int) -> Allowed:
    """Mark the transitions of valid sequences of O and, for each type, B, I, E and S, in this order."""
    number = np.arange(num_labels) - 1
    kind = np.where(number < 0, -1, number // 4)
    prefix = np.where(number < 0, 4, number % 4)
    inside = np.isin(prefix, (0, 1))  # B and I: the next word continues the entity
    continues = np.isin(prefix, (1, 2))  # I and E
    same = kind[:, None] == kind
    return Allowed(~continues, np.where(inside[:, None], continues & same, ~continues), ~inside)
