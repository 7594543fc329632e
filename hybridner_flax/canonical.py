"""Between the model's parameters and canonical weights (``hybridner.model.weights``).

A Linear's weight ``[out, in]`` is a ``kernel [in, out]`` here, a LayerNorm's weight a ``scale``, the embedding's an
``embedding``; the rest of the path is the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from hybridner.files.tensors import TensorHeader, Weights
from hybridner.model.weights import EMBEDDING

Tree = dict[str, Any]
TreeHeaders = Mapping[tuple[str, ...], TensorHeader]

_WEIGHT_NAMES = {"kernel", "scale", "embedding"}


def canonical_name(path: tuple[Any, ...]) -> str:
    """The canonical name of the parameter at ``path``."""
    *modules, leaf = path
    return ".".join([*map(str, modules), "weight" if leaf in _WEIGHT_NAMES else leaf])


def to_canonical(params: nnx.State) -> Weights:
    """Canonical weights, as numpy arrays of their own, from parameters (or from one of their Adam moments)."""
    return {
        canonical_name(path): np.array(_turned(path, np.asarray(param[...])), order="C")
        for path, param in nnx.to_flat_state(params)
    }


def from_canonical(weights: Mapping[str, np.ndarray], like: nnx.State) -> nnx.State:
    """Parameters with the structure and types of ``like`` and the values of canonical ``weights``."""
    flat = []
    for path, param in nnx.to_flat_state(like):
        value = _turned(path, weights[canonical_name(path)])
        # A copy, for the caller may change its arrays, and on a CPU JAX may share memory with those it is given. One
        # tensor after the other, so that no more than one is in memory twice.
        array = jax.device_put(np.array(value, param.dtype, order="C"))
        flat.append((path, param.replace(array.block_until_ready())))
    return nnx.from_flat_state(flat)


def canonical_headers(headers: TreeHeaders) -> dict[str, TensorHeader]:
    """What a file says of the arrays of a tree, as of canonical weights."""
    return {
        canonical_name(path): TensorHeader(shape[::-1] if path[-1] == "kernel" else shape, dtype)
        for path, (shape, dtype) in headers.items()
    }


def load_weights(model: nnx.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put canonical ``weights`` into ``model``; its parameter type stays."""
    nnx.update(model, from_canonical(weights, nnx.state(model, nnx.Param)))


def to_tree(weights: Mapping[str, np.ndarray]) -> Tree:
    """Canonical weights as nested dicts named and laid out as the model's parameters are."""
    tree: Tree = {}
    for name, value in weights.items():
        *modules, leaf = name.split(".")
        if leaf == "weight":
            leaf = "embedding" if name == EMBEDDING else "kernel" if value.ndim == 2 else "scale"
        node = tree
        for module in modules:
            node = node.setdefault(module, {})
        node[leaf] = np.ascontiguousarray(_turned((leaf,), value))
    return tree


def from_tree(tree: Tree) -> Weights:
    """The inverse of :func:`to_tree`."""
    return {canonical_name(path): np.array(_turned(path, np.asarray(value)), order="C") for path, value in leaves(tree)}


def leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each leaf of nested dicts."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _turned(path: tuple[Any, ...], value: np.ndarray) -> np.ndarray:
    return value.T if path[-1] == "kernel" else value
