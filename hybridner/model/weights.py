"""The canonical weights: every tensor's name and shape from a config, and its initial value from a seed.

Names are those of the original HybridNER's PyTorch ``state_dict``; the embedding, which stands there twice,
stands here once. A Linear weight is ``[out_features, in_features]``.
"""

import math
import zlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.files.tensors import Headers, Weights

EMBEDDING = "transformer_encoder.embed_tokens.weight"
_ENCODER = "transformer_encoder.encoder"


def weight_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor, in the order of the forward pass."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (config.vocab_size, hidden)}

    def linear(name: str, in_features: int, out_features: int) -> None:
        shapes[f"{name}.weight"] = (out_features, in_features)
        shapes[f"{name}.bias"] = (out_features,)

    def layer_norm(name: str) -> None:
        shapes[f"{name}.weight"] = (hidden,)
        shapes[f"{name}.bias"] = (hidden,)

    layer_norm(f"{_ENCODER}.embedding_layer_norm")
    for i in range(config.num_encoder_layers):
        layer = f"{_ENCODER}.layers.{i}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.self_attn.{projection}", hidden, hidden)
        layer_norm(f"{layer}.self_attn_layer_norm")
        linear(f"{layer}.fc1", hidden, 4 * hidden)
        linear(f"{layer}.fc2", 4 * hidden, hidden)
        layer_norm(f"{layer}.final_layer_norm")
    if config.use_lstm:
        linear("lstm.linear_ih", hidden, 4 * hidden)
        linear("lstm.linear_hh", hidden, 4 * hidden)
    linear("classifier", hidden, config.num_labels)
    return shapes


def num_parameters(config: ModelConfig) -> int:
    """Number of trained numbers in a model of this config."""
    return sum(math.prod(shape) for shape in weight_shapes(config).values())


def initial_weights(config: ModelConfig, seed: int) -> Weights:
    """Initial float32 weights, bitwise the same on every machine for the same config and seed.

    They follow PyTorch's defaults, as the original does: Linear weight and bias U(±1/√in_features),
    Embedding N(0, 1) with the pad row zero, LayerNorm 1 and 0. Each tensor draws from a stream of its own,
    keyed by (seed, name), so a tensor's values do not depend on which others there are.
    """
    weights: Weights = {}
    bound = 0.0
    for name, shape in weight_shapes(config).items():
        rng = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
        if name == EMBEDDING:
            value = rng.standard_normal(shape)
            value[config.pad_token_id] = 0
        elif "layer_norm" in name:
            value = np.full(shape, 1.0 if name.endswith("weight") else 0.0)
        else:
            if name.endswith("weight"):  # its bias comes next and shares the bound
                bound = 1 / math.sqrt(shape[1])
            value = rng.uniform(-bound, bound, shape)
        weights[name] = value.astype(np.float32)
    return weights


def check_weights(
    config: ModelConfig,
    weights: Mapping[str, np.ndarray] | Headers,
    where: str,
    dtypes: tuple[str, ...] = ("float32",),
) -> None:
    """Check names, shapes and types against the canonical table.

    Args:
        config: the model the weights are for.
        weights: canonical weights, or what a file says of them.
        where: file or folder they came from, for the message.
        dtypes: names of the element types that are accepted.

    Raises:
        InputError: a tensor is missing, extra, mis-shaped or mis-typed; the message names it.
    """
    if config.num_encoder_layers > max(len(weights), 100):  # naming all that is missing would take any time
        raise InputError(f"{where}: holds {len(weights)} tensors, too few for {config.num_encoder_layers} layers")
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
def position_table(config: ModelConfig) -> Float[np.ndarray, "max_length hidden_size"]:
    """Sinusoidal positions (Vaswani et al. 2017, section 3.5) in float64, for both twins to cast.

    Each framework's own sin and cos differ by up to 1e-4 at large arguments, so neither computes them.
    """
    position = np.arange(config.max_length, dtype=np.float64)[:, None]
    rate = 10000.0 ** (-np.arange(0, config.hidden_size, 2, dtype=np.float64) / config.hidden_size)
    table = np.empty((config.max_length, config.hidden_size))
    table[:, 0::2] = np.sin(position * rate)
    table[:, 1::2] = np.cos(position * rate)
    table.flags.writeable = False  # it is shared by all models of this config
    return table
