"""Between the model's parameters and canonical weights (``hybridner.weights``).

A Linear's weight ``[out, in]`` is a ``kernel [in, out]`` here, a LayerNorm's weight a ``scale``, the embedding's an
``embedding``; the rest of the path is the same.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from hybridner.weights import Weights

_WEIGHT_NAMES = {"kernel", "scale", "embedding"}


def canonical_name(path: tuple[Any, ...]) -> str:
    """The canonical name of the parameter at ``path``."""
    *modules, leaf = path
    return ".".join([*map(str, modules), "weight" if leaf in _WEIGHT_NAMES else leaf])


def to_canonical(params: nnx.State) -> Weights:
    """Canonical weights, as numpy arrays, from parameters (or from one of their Adam moments)."""
    return {
        canonical_name(path): np.ascontiguousarray(_turned(path, np.asarray(param[...])))
        for path, param in nnx.to_flat_state(params)
    }


def from_canonical(weights: Mapping[str, np.ndarray], like: nnx.State) -> nnx.State:
    """Parameters with the structure and types of ``like`` and the values of canonical ``weights``."""
    flat = []
    for path, param in nnx.to_flat_state(like):
        value = _turned(path, weights[canonical_name(path)])
        flat.append((path, param.replace(jnp.asarray(value, param.dtype))))
    return nnx.from_flat_state(flat)


def load_weights(model: nnx.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put canonical ``weights`` into ``model``; its parameter type stays."""
    nnx.update(model, from_canonical(weights, nnx.state(model, nnx.Param)))


def _turned(path: tuple[Any, ...], value: np.ndarray) -> np.ndarray:
    return value.T if path[-1] == "kernel" else value
