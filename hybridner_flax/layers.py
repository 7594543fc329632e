"""Shared layers, and the boundaries of sentences within a row."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

Hidden = Float[Array, "batch length hidden"]


def sentence_starts(attention_mask: Int[Array, "batch length"]) -> Bool[Array, "batch length"]:
    """Mark the first piece of each sentence (or run of padding): the places where the mask changes."""
    first = jnp.ones_like(attention_mask[:, :1], bool)
    changes = attention_mask[:, 1:] != attention_mask[:, :-1]
    return jnp.concatenate((first, changes), axis=1)


def sentence_positions(attention_mask: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """Count the pieces of each sentence from 0; padding gets 0, however long it is."""
    column = jnp.arange(attention_mask.shape[1])
    start = jax.lax.cummax(jnp.where(sentence_starts(attention_mask), column, 0), axis=1)
    return jnp.where(attention_mask != 0, column - start, 0)


def clipped_distances(length: int, largest: int) -> Int[Array, "length length"]:
    """Return the distance from each position (row) to each other (column), clipped; 0 means ``-largest``."""
    column = jnp.arange(length)
    return jnp.clip(column[None] - column[:, None], -largest, largest) + largest


# PyTorch has classes for the next two, ``Linear`` and ``Embedding``: only a subclass can skip the initial values.
def make_linear(in_features: int, out_features: int, **types: Any) -> nnx.Linear:
    """Make a Linear with a bias, zero until weights are loaded."""
    zeros = nnx.initializers.zeros
    return nnx.Linear(in_features, out_features, kernel_init=zeros, rngs=nnx.Rngs(0), **types)


def make_embedding(num_embeddings: int, features: int, **types: Any) -> nnx.Embed:
    """Make an embedding table, zero until weights are loaded."""
    zeros = nnx.initializers.zeros
    return nnx.Embed(num_embeddings, features, embedding_init=zeros, rngs=nnx.Rngs(0), **types)


def make_layer_norm(hidden_size: int, eps: float, **types: Any) -> nnx.LayerNorm:
    """Make a LayerNorm that computes the variance from centred values, as PyTorch's does."""
    return nnx.LayerNorm(hidden_size, epsilon=eps, use_fast_variance=False, rngs=nnx.Rngs(0), **types)


def bias_of(linear: nnx.Linear) -> Float[Array, "out_features"]:
    """Read the bias of a Linear (only in Flax, whose type allows None)."""
    assert linear.bias is not None
    return linear.bias[...]
