"""Infinities and NaN in weights and training states."""

from collections.abc import Mapping

import numpy as np

from hybridner.model.learner import TrainingState

_KINDS = {
    "weights": "the weight {!r}",
    "exp_avg": "AdamW's first moment of {!r}",
    "exp_avg_sq": "AdamW's second moment of {!r}",
    "average": "the average of {!r}",
}


def first_nonfinite(weights: Mapping[str, np.ndarray]) -> str | None:
    """Find the first tensor with an infinity or NaN, or None."""
    return next((name for name, value in weights.items() if not is_finite(value)), None)


def nonfinite_in(state: TrainingState) -> str | None:
    """Describe the first array of a training state that is not finite, or return None.

    Moments count: AdamW squares a gradient, and a number whose second moment is infinite never moves again.
    """
    for kind, words in _KINDS.items():
        name = first_nonfinite(getattr(state, kind) or {})
        if name is not None:
            return words.format(name)
    return None


def is_finite(value: np.ndarray) -> bool:
    """Check that all numbers of ``value`` are finite."""
    # What is not finite stays so in a sum, which needs no array of its own; but finite numbers may overflow in it.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(value.sum())) or bool(np.isfinite(value).all())
