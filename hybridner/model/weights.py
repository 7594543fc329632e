"""Canonical weights: shapes from the table of tensors, initial values from a seed, and checks against both."""

import math
import zlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.files.tensors import Headers, Weights
from hybridner.model.parts import rows

_LEARNED_POSITIONS_STD = 0.02  # as in BERT


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Collect name and shape of every tensor, in the order of the forward pass."""
    return {row.name: row.shape for row in rows(config)}


def num_parameters(config: ModelConfig) -> int:
    """Count the trained numbers in a model."""
    return sum(math.prod(row.shape) for row in rows(config) if row.trained)


def initial_weights(config: ModelConfig, seed: int) -> Weights:
    """Draw initial float32 weights, bitwise the same on every machine for the same config and seed.

    They follow PyTorch's defaults, as the original does: Linear weight and bias U(±1/√in_features),
    Embedding N(0, 1) with the pad row zero, LayerNorm 1 and 0. Relative positions and transitions start at zero.
    Each tensor draws from a stream of its own, keyed by (seed, name), so a tensor's values do not depend on which
    others there are.
    """
    weights: Weights = {}
    bound = 0.0
    for row in rows(config):
        rng = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(row.name.encode())]))
        match row.kind:
            case "embedding":
                value = rng.standard_normal(row.shape)
                value[config.input.pad_token_id] = 0
            case "positions":
                value = _LEARNED_POSITIONS_STD * rng.standard_normal(row.shape)
            case "norm_scale":
                value = np.ones(row.shape)
            case "norm_bias" | "relative_bias" | "transitions":
                value = np.zeros(row.shape)
            case "linear_weight" | "linear_bias" | "key_bias":
                if row.kind == "linear_weight":  # its bias comes next and shares the bound
                    bound = 1 / math.sqrt(row.shape[1])
                value = rng.uniform(-bound, bound, row.shape)
        weights[row.name] = value.astype(np.float32)
    return weights


def check_weights(
    config: ModelConfig,
    weights: Mapping[str, np.ndarray] | Headers,
    where: str,
    dtypes: tuple[str, ...] = ("float32",),
) -> None:
    """Check names, shapes and types against the table of tensors.

    Args:
        config: the model the weights are for.
        weights: canonical weights, or what a file says of them.
        where: file or folder they came from, for the message.
        dtypes: names of the element types that are accepted.

    Raises:
        InputError: a tensor is missing, extra, mis-shaped or mis-typed; the message names it.
    """
    shapes = weight_shapes(config)
    for name in shapes:
        if name not in weights:
            raise InputError(f"{where}: tensor {name!r} is missing")
    for name, value in weights.items():
        if name not in shapes:
            raise InputError(f"{where}: tensor {name!r} does not belong to this model")
        if tuple(value.shape) != shapes[name]:
            raise InputError(f"{where}: tensor {name!r} has shape {tuple(value.shape)}, expected {shapes[name]}")
        if str(value.dtype) not in dtypes:
            raise InputError(f"{where}: tensor {name!r} is {value.dtype}, expected {' or '.join(dtypes)}")


@lru_cache(maxsize=4)
def position_table(max_length: int, hidden_size: int) -> Float[np.ndarray, "max_length hidden_size"]:
    """Compute sinusoidal positions (Vaswani et al. 2017, section 3.5) in float64, for both backends to cast.

    Each framework's own sin and cos differ by up to 1e-4 at large arguments, so neither computes them.
    """
    position = np.arange(max_length, dtype=np.float64)[:, None]
    rate = 10000.0 ** (-np.arange(0, hidden_size, 2, dtype=np.float64) / hidden_size)
    table = np.empty((max_length, hidden_size))
    table[:, 0::2] = np.sin(position * rate)
    table[:, 1::2] = np.cos(position * rate)
    table.flags.writeable = False  # all models of these sizes share it
    return table
