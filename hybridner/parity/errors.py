"""Relative errors in norm, with the same meaning for every tensor.

A norm has no sign, so differences cannot cancel; NaN and infinity differ infinitely from everything, even themselves.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from hybridner.files.tensors import Weights


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """Compute ‖a − b‖ / ‖b‖ in float64; infinite if a value is not finite or the shapes differ."""
    if a.shape != b.shape:
        return math.inf
    return _ratio(_distance(a, b), _norm(b))


def tensor_errors(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compute the error of each tensor: ‖a − b‖ / max(‖b‖, 1e-3 · ‖all of b‖ / √number of tensors).

    The floor avoids measuring a tensor whose true value is zero, such as the gradient of ``k_proj.bias``, against its
    own rounding. The error is infinite if the shapes differ or one side lacks the tensor.
    """
    floor = 1e-3 * global_norm(b) / math.sqrt(max(len(b), 1))
    errors = dict.fromkeys([*b, *a], math.inf)
    for name in a.keys() & b.keys():
        if a[name].shape == b[name].shape:
            errors[name] = _ratio(_distance(a[name], b[name]), max(_norm(b[name]), floor))
    return errors


def global_norm(tensors: Mapping[str, np.ndarray]) -> float:
    """Compute the norm of all tensors together, in float64."""
    return math.sqrt(sum(_norm(tensor) ** 2 for tensor in tensors.values()))


def worst(errors: Mapping[str, float]) -> tuple[str, float]:
    """Return the name with the largest error, and the error; NaN counts as infinite."""
    name = max(errors, key=lambda n: math.inf if math.isnan(errors[n]) else errors[n])
    return name, errors[name]


def bitwise_difference(a: Weights, b: Weights) -> str | None:
    """Name the first tensor whose bits, type or shape differ, or that one side lacks; None if there is none."""
    return next(iter(bitwise_differences(a, b)), None)


def bitwise_differences(a: Weights, b: Weights) -> Iterator[str]:
    """Name all tensors whose bits, type or shape differ, or that one side lacks."""
    for name in dict.fromkeys([*a, *b]):
        here = name in a and name in b and (a[name].dtype, a[name].shape) == (b[name].dtype, b[name].shape)
        if not here or a[name].tobytes() != b[name].tobytes():
            yield name


def not_finite(tensors: Mapping[str, np.ndarray]) -> str | None:
    """Name the first tensor that contains an infinity or NaN; None if there is none."""
    return next((name for name, tensor in tensors.items() if not np.isfinite(tensor).all()), None)


def _norm(tensor: np.ndarray) -> float:
    return float(np.linalg.norm(tensor.astype(np.float64).ravel()))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # ∞ − ∞ is NaN, which _ratio handles
        return float(np.linalg.norm(a.astype(np.float64).ravel() - b.astype(np.float64).ravel()))


def _ratio(difference: float, size: float) -> float:
    if not math.isfinite(difference):
        return math.inf
    return 0.0 if difference == 0 else difference / size if size > 0 else math.inf
