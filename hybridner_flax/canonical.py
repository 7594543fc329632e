"""Conversion between the model's parameters and canonical weights (``hybridner.model.parts``).

Flax stores a Linear's weight ``[out, in]`` as ``kernel [in, out]``, a LayerNorm's as ``scale`` and the embedding's as
``embedding``; the rest of each path is the same.
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
    "relative_bias": "embedding",
}
_WEIGHT_NAMES = set(_LEAVES.values()) - {"bias"}


def to_canonical(params: nnx.State) -> Weights:
    """Copy parameters (or one of their Adam moments) into canonical numpy weights."""
    return {
        canonical_name(path): np.array(_turned(path, np.asarray(param[...])), order="C")
        for path, param in nnx.to_flat_state(params)
    }


def from_canonical(weights: Mapping[str, np.ndarray], like: nnx.State) -> nnx.State:
    """Copy canonical ``weights`` into parameters with the structure and types of ``like``."""
    flat = []
    for path, param in nnx.to_flat_state(like):
        value = _turned(path, weights[canonical_name(path)])
        # Copy: on a CPU JAX may share memory with the caller's array. Wait: only one tensor is then in memory twice.
        array = jax.device_put(np.array(value, param.dtype, order="C"))
        flat.append((path, param.replace(array.block_until_ready())))
    return nnx.from_flat_state(flat)


def load_weights(model: nnx.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy canonical ``weights`` into ``model`` and keep its parameter type."""
    nnx.update(model, from_canonical(weights, nnx.state(model, nnx.Param)))


# Only in Flax, whose names and layouts differ from the canonical ones.
def canonical_name(path: tuple[Any, ...]) -> str:
    """Return the canonical name of the parameter at ``path``."""
    *modules, leaf = path
    return ".".join([*map(str, modules), "weight" if leaf in _WEIGHT_NAMES else leaf])


def canonical_headers(headers: TreeHeaders) -> dict[str, TensorHeader]:
    """Convert the headers of a tree's arrays to those of canonical weights."""
    return {
        canonical_name(path): TensorHeader(shape[::-1] if path[-1] == "kernel" else shape, dtype)
        for path, (shape, dtype) in headers.items()
    }


def to_tree(config: ModelConfig, weights: Mapping[str, np.ndarray]) -> Tree:
    """Convert canonical weights to nested dicts with the model's parameter names and layouts."""
    tree: Tree = {}
    for row in rows(config):
        *modules, own = row.name.split(".")
        node, leaf = tree, _LEAVES.get(row.kind, own)  # transitions keep their name
        for module in modules:
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
