"""The tagger in Flax: token and position embedding, post-LN Transformer encoder, LSTM, classifier.

Read it beside ``hybridner_torch/model.py``: the same classes with the same names in the same order.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt32

from hybridner.config.model import ModelConfig
from hybridner.model.weights import initial_weights, position_table
from hybridner_flax.canonical import load_weights
from hybridner_flax.dropout import DropoutStream, Site, dropout
from hybridner_flax.linear import Linear, linear
from hybridner_flax.lstm import lstm_scan

LAYER_NORM_EPS = 1e-5
CLASSIFIER_SITE = 0
SITES_PER_LAYER = 4

Hidden = Float[Array, "batch length hidden"]


def sentence_starts(attention_mask: Int[Array, "batch length"]) -> Bool[Array, "batch length"]:
    """Where a sentence (or padding) starts within its row: where the mask changes."""
    changes = attention_mask[:, 1:] != attention_mask[:, :-1]
    return jnp.concatenate((jnp.ones_like(changes[:, :1]), changes), axis=1)


def sentence_positions(attention_mask: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """Position of each piece within its sentence, from 0; 0 for padding, of which a row may hold any length."""
    column = jnp.arange(attention_mask.shape[1])
    start = jax.lax.cummax(jnp.where(sentence_starts(attention_mask), column, 0), axis=1)
    return jnp.where(attention_mask != 0, column - start, 0)


class SelfAttention(nnx.Module):
    """Multi-head attention within each sentence of a row (Vaswani et al. 2017), with biases."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.num_heads = config.num_heads
        self.dropout = config.dropout
        self.q_proj = _linear(config.hidden_size, config.hidden_size, **types)
        self.k_proj = _linear(config.hidden_size, config.hidden_size, **types)
        self.v_proj = _linear(config.hidden_size, config.hidden_size, **types)
        self.out_proj = _linear(config.hidden_size, config.hidden_size, **types)

    def __call__(
        self, x: Hidden, allowed: Bool[Array, "batch length length"], site: Site, stream: DropoutStream | None
    ) -> Hidden:
        batch, length, hidden = x.shape
        d_head = hidden // self.num_heads
        # One matmul for the three projections is faster than three.
        projections = (self.q_proj, self.k_proj, self.v_proj)
        kernel = jnp.concatenate([p.kernel[...] for p in projections], axis=1).astype(x.dtype)
        bias = jnp.concatenate([_bias(p) for p in projections]).astype(x.dtype)
        q, k, v = (
            part.reshape(batch, length, self.num_heads, d_head)
            for part in jnp.split(linear(x, kernel, bias), 3, axis=-1)
        )
        q = q * jnp.asarray(d_head**-0.5, x.dtype)
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
        scores = scores.astype(jnp.promote_types(x.dtype, jnp.float32))
        # Padding may attend to padding, so no row is masked whole.
        scores = jnp.where(allowed[:, None], scores, -jnp.inf)
        probabilities = dropout(jax.nn.softmax(scores).astype(x.dtype), self.dropout, site, stream)
        context = jnp.einsum("bhqk,bkhd->bqhd", probabilities, v)
        return self.out_proj(context.reshape(batch, length, hidden))


class EncoderLayer(nnx.Module):
    """Attention and a ReLU feed-forward net, each followed by dropout, the residual and LayerNorm."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.dropout = config.dropout
        self.self_attn = SelfAttention(config, **types)
        self.self_attn_layer_norm = _layer_norm(config.hidden_size, **types)
        self.fc1 = _linear(config.hidden_size, 4 * config.hidden_size, **types)
        self.fc2 = _linear(4 * config.hidden_size, config.hidden_size, **types)
        self.final_layer_norm = _layer_norm(config.hidden_size, **types)

    def __call__(
        self, x: Hidden, allowed: Bool[Array, "batch length length"], site: Site, stream: DropoutStream | None
    ) -> Hidden:
        attended = self.self_attn(x, allowed, site, stream)
        x = self.self_attn_layer_norm(x + dropout(attended, self.dropout, site + 1, stream))
        inner = dropout(jax.nn.relu(self.fc1(x)), self.dropout, site + 2, stream)
        return self.final_layer_norm(x + dropout(self.fc2(inner), self.dropout, site + 3, stream))


@partial(jax.jit, static_argnums=0)
def _run_layer(
    graphdef: nnx.GraphDef[EncoderLayer],
    params: nnx.State,
    x: Hidden,
    allowed: Bool[Array, "batch length length"],
    site: UInt32[Array, ""],
    stream: DropoutStream | None,
) -> Hidden:
    # The layers differ in nothing but their parameters: compiled within jit, this is traced once, not once a layer.
    return nnx.merge(graphdef, params)(x, allowed, site, stream)


class Encoder(nnx.Module):
    """The encoder layers behind the LayerNorm of the embedding."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.embedding_layer_norm = _layer_norm(config.hidden_size, **types)
        self.layers = nnx.List(EncoderLayer(config, **types) for _ in range(config.num_encoder_layers))

    def __call__(
        self, x: Hidden, attention_mask: Int[Array, "batch length"], stream: DropoutStream | None
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        allowed = attention_mask[:, :, None] == attention_mask[:, None, :]
        x = self.embedding_layer_norm(x)
        activations = [("embedding", x)]
        for i, layer in enumerate(self.layers):
            site = jnp.uint32(1 + SITES_PER_LAYER * i)
            x = _run_layer(*nnx.split(layer), x, allowed, site, stream)
            activations.append((f"layers.{i}", x))
        return x, activations


class TransformerEncoder(nnx.Module):
    """Token embedding plus sinusoidal positions, then the encoder."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.config = config
        self.dtype = types["dtype"]
        self.embed_tokens = nnx.Embed(
            config.vocab_size,
            config.hidden_size,
            embedding_init=nnx.initializers.zeros,
            rngs=nnx.Rngs(0),
            **types,
        )
        self.encoder = Encoder(config, **types)

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None,
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        embedded = jnp.take(self.embed_tokens.embedding[...], input_ids, axis=0).astype(self.dtype)
        # The pad row stays as it is: no gradient flows into it.
        embedded = jnp.where(
            (input_ids == self.config.pad_token_id)[..., None], jax.lax.stop_gradient(embedded), embedded
        )
        positions = sentence_positions(attention_mask)
        table = jnp.asarray(position_table(self.config)[: input_ids.shape[1]], self.dtype)
        embedded = embedded + table[positions]
        return self.encoder(embedded, attention_mask, stream)


class LSTM(nnx.Module):
    """One left-to-right LSTM layer with two biased linear maps, zeroed where a sentence starts."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.linear_ih = _linear(config.hidden_size, 4 * config.hidden_size, **types)
        self.linear_hh = _linear(config.hidden_size, 4 * config.hidden_size, **types)

    def __call__(self, x: Hidden, starts: Bool[Array, "batch length"]) -> Hidden:
        time_first = jnp.swapaxes(x, 0, 1)  # turned round before the projection makes it four times as wide
        gates_x = self.linear_ih(time_first) + _bias(self.linear_hh).astype(x.dtype)
        hs = lstm_scan(gates_x, self.linear_hh.kernel[...].astype(x.dtype), starts.T)
        return jnp.swapaxes(hs, 0, 1).astype(x.dtype)


class HybridNER(nnx.Module):
    """The tagger. Its initial weights are the canonical ones of ``seed``, the same as the PyTorch twin's.

    >>> model = HybridNER(ModelConfig(vocab_size=100, num_labels=9, hidden_size=32, num_encoder_layers=1))
    >>> model(jnp.array([[2, 5, 3]]), jnp.array([[1, 1, 1]])).shape
    (1, 3, 9)

    Args:
        config: sizes and parts.
        seed: decides the initial weights; None leaves zeros.
        dtype: type of the computation.
        param_dtype: type of the weights, ``float32`` or ``float64``.
    """

    def __init__(
        self, config: ModelConfig, *, seed: int | None = 0, dtype: Any = jnp.float32, param_dtype: Any = jnp.float32
    ) -> None:
        types = {"dtype": dtype, "param_dtype": param_dtype}
        self.config = config
        self.transformer_encoder = TransformerEncoder(config, **types)
        if config.use_lstm:
            self.lstm = LSTM(config, **types)
        self.classifier = _linear(config.hidden_size, config.num_labels, **types)
        if seed is not None:
            load_weights(self, initial_weights(config, seed))

    def __call__(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None = None,
    ) -> Float[Array, "batch length num_labels"]:
        """Logits of every piece.

        Args:
            input_ids: int32, below ``vocab_size``.
            attention_mask: int32; 0 for padding, 1…n for the sentence within the row.
            stream: drop with these masks; None does not drop.
        """
        return self.activations(input_ids, attention_mask, stream)[-1][1]

    def activations(
        self,
        input_ids: Int[Array, "batch length"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None = None,
    ) -> list[tuple[str, Array]]:
        """What comes out of each part, in order: "embedding", "layers.0", …, "lstm", "classifier"."""
        x, activations = self.transformer_encoder(input_ids, attention_mask, stream)
        if self.config.use_lstm:
            x = self.lstm(x, sentence_starts(attention_mask))
            activations.append(("lstm", x))
        x = dropout(x, self.config.dropout, CLASSIFIER_SITE, stream)
        return [*activations, ("classifier", self.classifier(x))]


def _linear(in_features: int, out_features: int, **types: Any) -> Linear:
    zeros = nnx.initializers.zeros
    return Linear(in_features, out_features, kernel_init=zeros, rngs=nnx.Rngs(0), **types)


def _layer_norm(hidden_size: int, **types: Any) -> nnx.LayerNorm:
    return nnx.LayerNorm(hidden_size, epsilon=LAYER_NORM_EPS, use_fast_variance=False, rngs=nnx.Rngs(0), **types)


def _bias(linear: nnx.Linear) -> Float[Array, "out_features"]:
    assert linear.bias is not None, "every Linear of the model has one"
    return linear.bias[...]
