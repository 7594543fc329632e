"""Conversion between the model's parameters and canonical weights (``hybridner.model.parts``).

A Linear's weight ``[out, in]`` is a ``kernel [in, out]`` here, a LayerNorm's weight a ``scale``, the embedding's an
``embedding``; the rest of the path is the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from hybridner.config.model import ModelConfig
from hybridner.files.tensors import TensorHeader, Weights
from hybridner.model.parts import Kind, rows

Tree = dict[str, Any]
TreeHeaders = Mapping[tuple[str, ...], TensorHeader]

_LEAVES: dict[Kind, str] = {
    "embedding": "embedding",
    "positions": "embedding",
    "linear_weight": "kernel",
    "linear_bias": "bias",
    "key_bias": "bias",
    "norm_scale": "scale",
    "norm_bias": "bias",
}
_WEIGHT_NAMES = set(_LEAVES.values()) - {"bias"}


def canonical_name(path: tuple[Any, ...]) -> str:
    """Name the parameter at ``path`` canonically."""
    *modules, leaf = path
    return ".".join([*map(str, modules), "weight" if leaf in _WEIGHT_NAMES else leaf])


def to_canonical(params: nnx.State) -> Weights:
    """Copy parameters (or one of their Adam moments) to canonical weights in numpy."""
    return {
        canonical_name(path): np.array(_turned(path, np.asarray(param[...])), order="C")
        for path, param in nnx.to_flat_state(params)
    }


def from_canonical(weights: Mapping[str, np.ndarray], like: nnx.State) -> nnx.State:
    """Make parameters with the structure and types of ``like`` and the values of canonical ``weights``."""
    flat = []
    for path, param in nnx.to_flat_state(like):
        value = _turned(path, weights[canonical_name(path)])
        # A copy, for the caller may change its arrays, and on a CPU JAX may share memory with those it is given. One
        # tensor after the other, so that no more than one is in memory twice.
        array = jax.device_put(np.array(value, param.dtype, order="C"))
        flat.append((path, param.replace(array.block_until_ready())))
    return nnx.from_flat_state(flat)


def canonical_headers(headers: TreeHeaders) -> dict[str, TensorHeader]:
    """Convert the headers of a tree's arrays to those of canonical weights."""
    return {
        canonical_name(path): TensorHeader(shape[::-1] if path[-1] == "kernel" else shape, dtype)
        for path, (shape, dtype) in headers.items()
    }


def load_weights(model: nnx.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put canonical ``weights`` into ``model``; its parameter type stays."""
    nnx.update(model, from_canonical(weights, nnx.state(model, nnx.Param)))


def to_tree(config: ModelConfig, weights: Mapping[str, np.ndarray]) -> Tree:
    """Convert canonical weights to nested dicts with the model's parameter names and layouts."""
    tree: Tree = {}
    for row in rows(config):
        node, leaf = tree, _LEAVES[row.kind]
        for module in row.name.split(".")[:-1]:
            node = node.setdefault(module, {})
        node[leaf] = np.ascontiguousarray(_turned((leaf,), weights[row.name]))
    return tree


def from_tree(tree: Tree) -> Weights:
    """Invert :func:`to_tree`."""
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
