"""The Transformer encoder over packed sentences."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Int, UInt32

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import layer_site
from hybridner_flax.dropout import DropoutStream, Site, dropout
from hybridner_flax.layers import Hidden, bias_of, clipped_distances, make_embedding, make_layer_norm, make_linear


class SelfAttention(nnx.Module):
    """Multi-head attention within each sentence of a row (Vaswani et al. 2017), with biases."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        hidden = config.encoder.hidden_size
        self.num_heads = config.encoder.num_heads
        self.dropout = config.attention_dropout
        self.q_proj = make_linear(hidden, hidden, **types)
        self.k_proj = make_linear(hidden, hidden, **types)
        self.v_proj = make_linear(hidden, hidden, **types)
        self.out_proj = make_linear(hidden, hidden, **types)
        self.relative_distance = config.encoder.relative_distance
        if self.relative_distance:
            self.relative_bias = make_embedding(2 * self.relative_distance + 1, self.num_heads, **types)

    def __call__(
        self, x: Hidden, allowed: Bool[Array, "batch length length"], site: Site, stream: DropoutStream | None
    ) -> Hidden:
        batch, length, hidden = x.shape
        d_head = hidden // self.num_heads
        # One matmul for the three projections is faster than three.
        projections = (self.q_proj, self.k_proj, self.v_proj)
        kernel = jnp.concatenate([p.kernel[...] for p in projections], axis=1).astype(x.dtype)
        bias = jnp.concatenate([bias_of(p) for p in projections]).astype(x.dtype)
        q, k, v = (
            part.reshape(batch, length, self.num_heads, d_head) for part in jnp.split(x @ kernel + bias, 3, axis=-1)
        )
        q = q * jnp.asarray(d_head**-0.5, x.dtype)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
        scores = scores.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.relative_distance:
            bias = self.relative_bias.embedding[...].astype(scores.dtype)
            distances = clipped_distances(length, self.relative_distance)
            scores = scores + jnp.take(bias, distances, axis=0).transpose(2, 0, 1)
        # Padding may attend to padding, so no row is masked whole.
        scores = jnp.where(allowed[:, None], scores, -jnp.inf)
        probabilities = dropout(jax.nn.softmax(scores).astype(x.dtype), self.dropout, site, stream)
        context = jnp.einsum("bhqk,bkhd->bqhd", probabilities, v)
        return self.out_proj(context.reshape(batch, length, hidden))


class EncoderLayer(nnx.Module):
    """Attention and a feed-forward network, each with dropout, the residual, and a LayerNorm before or after."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        encoder = config.encoder
        self.dropout = config.layer_dropout
        self.activation = encoder.activation
        self.norm = encoder.norm
        self.self_attn = SelfAttention(config, **types)
        self.self_attn_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps, **types)
        self.fc1 = make_linear(encoder.hidden_size, encoder.feed_forward_size, **types)
        self.fc2 = make_linear(encoder.feed_forward_size, encoder.hidden_size, **types)
        self.final_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps, **types)

    def __call__(
        self, x: Hidden, allowed: Bool[Array, "batch length length"], site: Site, stream: DropoutStream | None
    ) -> Hidden:
        if self.norm == "pre":
            x = x + self._attend(self.self_attn_layer_norm(x), allowed, site, stream)
            return x + self._feed_forward(self.final_layer_norm(x), site, stream)
        x = self.self_attn_layer_norm(x + self._attend(x, allowed, site, stream))
        return self.final_layer_norm(x + self._feed_forward(x, site, stream))

    def _attend(
        self, x: Hidden, allowed: Bool[Array, "batch length length"], site: Site, stream: DropoutStream | None
    ) -> Hidden:
        return dropout(self.self_attn(x, allowed, site, stream), self.dropout, site + 1, stream)

    def _feed_forward(self, x: Hidden, site: Site, stream: DropoutStream | None) -> Hidden:
        inner = self.fc1(x)
        inner = jax.nn.relu(inner) if self.activation == "relu" else jax.nn.gelu(inner, approximate=False)
        inner = dropout(inner, self.dropout, site + 2, stream)
        return dropout(self.fc2(inner), self.dropout, site + 3, stream)


@partial(jax.jit, static_argnums=0)
def _run_layer(
    graphdef: nnx.GraphDef[EncoderLayer],
    params: nnx.State,
    x: Hidden,
    allowed: Bool[Array, "batch length length"],
    site: UInt32[Array, ""],
    stream: DropoutStream | None,
) -> Hidden:
    # Only in Flax: the layers differ only in their parameters, so a jitted function is traced once for all of them.
    return nnx.merge(graphdef, params)(x, allowed, site, stream)


class Encoder(nnx.Module):
    """A LayerNorm for the embeddings, then the encoder layers, and a last LayerNorm if theirs come first."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        encoder = config.encoder
        self.norm = encoder.norm
        self.embedding_layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps, **types)
        self.layers = nnx.List(EncoderLayer(config, **types) for _ in range(encoder.num_layers))
        if encoder.norm == "pre":
            self.layer_norm = make_layer_norm(encoder.hidden_size, encoder.layer_norm_eps, **types)

    def __call__(
        self, x: Hidden, attention_mask: Int[Array, "batch length"], stream: DropoutStream | None
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        allowed = attention_mask[:, :, None] == attention_mask[:, None, :]
        x = self.embedding_layer_norm(x)
        activations = [("embedding", x)]
        for i, layer in enumerate(self.layers):
            x = _run_layer(*nnx.split(layer), x, allowed, jnp.uint32(layer_site(i)), stream)
            activations.append((f"layers.{i}", x))
        if self.norm == "pre":
            x = self.layer_norm(x)
            activations.append(("encoder", x))
        return x, activations
