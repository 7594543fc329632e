"""How far two results are apart: relative errors in norm, defined so that they mean the same for every tensor."""

import math
from collections.abc import Mapping

import numpy as np

from hybridner.weights import Weights


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖ / ‖b‖ in float64; infinite where either is not finite or the shapes differ."""
    if a.shape != b.shape:
        return math.inf
    difference = float(np.linalg.norm(a.astype(np.float64).ravel() - b.astype(np.float64).ravel()))
    return _ratio(difference, float(np.linalg.norm(b.astype(np.float64).ravel())))


def tensor_errors(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Error of each tensor: ‖a − b‖ / max(‖b‖, 1e-3 · ‖all of b‖ / √number of tensors).

    The floor keeps a tensor whose true value is zero, such as the gradient of ``k_proj.bias``, from being
    measured against its own rounding noise. A tensor that only one side has is infinitely far.
    """
    names = list(dict.fromkeys([*b, *a]))
    floor = 1e-3 * global_norm(b) / math.sqrt(max(len(b), 1))
    errors = {}
    for name in names:
        if name not in a or name not in b or a[name].shape != b[name].shape:
            errors[name] = math.inf
            continue
        x, y = a[name].astype(np.float64).ravel(), b[name].astype(np.float64).ravel()
        errors[name] = _ratio(float(np.linalg.norm(x - y)), max(float(np.linalg.norm(y)), floor))
    return errors


def global_norm(tensors: Mapping[str, np.ndarray]) -> float:
    """Norm of all tensors together, in float64."""
    return math.sqrt(sum(float(np.square(t.astype(np.float64)).sum()) for t in tensors.values()))


def worst(errors: Mapping[str, float]) -> tuple[str, float]:
    """The name with the largest error, and the error; not-a-number counts as largest."""
    name = max(errors, key=lambda n: math.inf if math.isnan(errors[n]) else errors[n])
    return name, errors[name]


def bitwise_difference(a: Weights, b: Weights) -> str | None:
    """The first tensor that is not the same bits under the same name and type on both sides, or None."""
    for name in dict.fromkeys([*a, *b]):
        if name not in a or name not in b or a[name].dtype != b[name].dtype or a[name].shape != b[name].shape:
            return name
        if a[name].tobytes() != b[name].tobytes():
            return name
    return None


def _ratio(difference: float, size: float) -> float:
    if not math.isfinite(difference):
        return math.inf
    return 0.0 if difference == 0 else difference / size if size > 0 else math.inf
