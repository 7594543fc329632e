"""The baseline ``stock``: the same tagger in Flax from the library's own parts.

It uses ``nnx.MultiHeadAttention``, ``nnx.RNN`` over ``nnx.OptimizedLSTMCell``, ``nnx.Dropout``, ``nnx.Optimizer`` and
``nnx.jit`` and pads sentences to the longest of the batch, as a port of the original by its layers' names would.
Its LSTM has one bias, its initial weights are the library's.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.model.weights import position_table


class StockLayer(nnx.Module):
    """A post-LN encoder layer."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        hidden = config.encoder.hidden_size
        self.self_attn = nnx.MultiHeadAttention(
            config.encoder.num_heads,
            in_features=hidden,
            dropout_rate=config.dropout,
            broadcast_dropout=False,
            decode=False,
            rngs=rngs,
        )
        self.self_attn_layer_norm = nnx.LayerNorm(hidden, epsilon=1e-5, rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(hidden, 4 * hidden, rngs=rngs), nnx.Linear(4 * hidden, hidden, rngs=rngs)
        self.final_layer_norm = nnx.LayerNorm(hidden, epsilon=1e-5, rngs=rngs)
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length hidden"], mask: Array) -> Float[Array, "batch length hidden"]:
        """Run the layer; ``mask [batch, 1, 1, length]`` is true at pieces."""
        x = self.self_attn_layer_norm(x + self.dropout(self.self_attn(x, mask=mask)))
        inner = self.dropout(nnx.relu(self.fc1(x)))
        return self.final_layer_norm(x + self.dropout(self.fc2(inner)))


class StockTagger(nnx.Module):
    """The tagger from stock parts."""

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        hidden = config.encoder.hidden_size
        self.config = config
        self.embed_tokens = nnx.Embed(config.input.vocab_size, hidden, rngs=rngs)
        self.embedding_layer_norm = nnx.LayerNorm(hidden, epsilon=1e-5, rngs=rngs)
        self.layers = nnx.List(StockLayer(config, rngs) for _ in range(config.encoder.num_layers))
        self.lstm = nnx.RNN(nnx.OptimizedLSTMCell(hidden, hidden, rngs=rngs))
        self.dropout = nnx.Dropout(config.dropout, rngs=rngs)
        self.classifier = nnx.Linear(hidden, config.num_labels, rngs=rngs)

    def __call__(
        self, input_ids: Int[Array, "batch length"], mask: Int[Array, "batch length"]
    ) -> Float[Array, "batch length num_labels"]:
        """Return logits; the mask is 1 for pieces."""
        table = position_table(self.config.input.max_length, self.config.encoder.hidden_size)
        table = jnp.asarray(table[: input_ids.shape[1]], jnp.float32)
        x = self.embedding_layer_norm(self.embed_tokens(input_ids) + table)
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :] != 0)
        return self.classifier(self.dropout(self.lstm(x)))


class StockTraining:
    """A stock tagger with its optimizer."""

    def __init__(self, config: ModelConfig, learning_rate: float = 3e-4, weight_decay: float = 0.01) -> None:
        self.model = StockTagger(config, nnx.Rngs(0))
        self.optimizer = nnx.Optimizer(self.model, optax.adamw(learning_rate, weight_decay=weight_decay), wrt=nnx.Param)
        self.model.train()

    def step(self, input_ids: np.ndarray, mask: np.ndarray, labels: np.ndarray) -> Any:
        """Take one step on ``[batch, length]`` arrays; return the mean loss, on the device."""
        return _step(self.model, self.optimizer, *(jnp.asarray(a, jnp.int32) for a in (input_ids, mask, labels)))


@nnx.jit
def _step(model: StockTagger, optimizer: nnx.Optimizer[Any], input_ids: Array, mask: Array, labels: Array) -> Array:
    def mean_loss(model: StockTagger) -> Array:
        labelled = labels != IGNORED
        losses = optax.softmax_cross_entropy_with_integer_labels(model(input_ids, mask), jnp.where(labelled, labels, 0))
        return jnp.sum(jnp.where(labelled, losses, 0)) / jnp.maximum(jnp.sum(labelled), 1)

    loss, grads = nnx.value_and_grad(mean_loss)(model)
    optimizer.update(model, grads)
    return loss
