"""Layers that the parts share, and where sentences start within a row."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

Hidden = Float[Array, "batch length hidden"]


def sentence_starts(attention_mask: Int[Array, "batch length"]) -> Bool[Array, "batch length"]:
    """Find where a sentence (or padding) starts within its row: where the mask changes."""
    first = jnp.ones_like(attention_mask[:, :1], bool)
    changes = attention_mask[:, 1:] != attention_mask[:, :-1]
    return jnp.concatenate((first, changes), axis=1)


def sentence_positions(attention_mask: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """Number the pieces of each sentence from 0; 0 for padding, of which a row may have any length."""
    column = jnp.arange(attention_mask.shape[1])
    start = jax.lax.cummax(jnp.where(sentence_starts(attention_mask), column, 0), axis=1)
    return jnp.where(attention_mask != 0, column - start, 0)


def make_linear(in_features: int, out_features: int, **types: Any) -> nnx.Linear:
    """Make a Linear with a bias, at zero until weights are loaded."""
    zeros = nnx.initializers.zeros
    return nnx.Linear(in_features, out_features, kernel_init=zeros, rngs=nnx.Rngs(0), **types)


def make_layer_norm(hidden_size: int, eps: float, **types: Any) -> nnx.LayerNorm:
    """Make a LayerNorm that computes the variance from the centred values, as PyTorch does."""
    return nnx.LayerNorm(hidden_size, epsilon=eps, use_fast_variance=False, rngs=nnx.Rngs(0), **types)


def bias_of(linear: nnx.Linear) -> Float[Array, "out_features"]:
    """Read a Linear's bias."""
    assert linear.bias is not None, "every Linear of the model has one"
    return linear.bias[...]
