"""The whole tagger in Flax.

Each file has the same classes, with the same names in the same order, as its namesake in ``hybridner_torch``.
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import HEAD_SITE
from hybridner.model.weights import initial_weights
from hybridner_flax.canonical import load_weights
from hybridner_flax.crf import CRF
from hybridner_flax.dropout import DropoutStream, dropout
from hybridner_flax.embedding import TransformerEncoder
from hybridner_flax.layers import make_linear, sentence_starts
from hybridner_flax.lstm import LSTM


class HybridNER(nnx.Module):
    """The tagger. Its initial weights are those of ``seed``, the same as in PyTorch.

    >>> model = HybridNER(original_model(vocab_size=100, num_labels=9, hidden_size=32, num_encoder_layers=1))
    >>> model(jnp.array([[2, 5, 3]]), jnp.array([[1, 1, 1]])).shape
    (1, 3, 9)

    Args:
        config: sizes and parts.
        seed: seed of the initial weights; None leaves zeros.
        dtype: type of the computation.
        param_dtype: type of the weights, ``float32`` or ``float64``.
    """

    def __init__(
        self, config: ModelConfig, *, seed: int | None = 0, dtype: Any = jnp.float32, param_dtype: Any = jnp.float32
    ) -> None:
        types = {"dtype": dtype, "param_dtype": param_dtype}
        self.config = config
        self.transformer_encoder = TransformerEncoder(config, **types)
        if config.lstm is not None:
            self.lstm = LSTM(config, **types)
        self.classifier = make_linear(config.head_size, config.num_labels, **types)
        if config.head.kind == "crf":
            self.crf = CRF(config, **types)
        if seed is not None:
            load_weights(self, initial_weights(config, seed))

    def __call__(
        self,
        input_ids: Int[Array, "batch length *features"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None = None,
        vectors: Float[Array, "batch length vector_size"] | None = None,
    ) -> Float[Array, "batch length num_labels"]:
        """Compute the logits of every piece.

        Args:
            input_ids: int32, below ``vocab_size``; of words their features, in the order of
                :mod:`hybridner.text.vocabulary`.
            attention_mask: int32; 0 for padding, 1…n numbers the sentences within the row.
            stream: source of the dropout masks; None disables dropout.
            vectors: frozen vectors of words; None if ``vector_size`` is 0.
        """
        return self.activations(input_ids, attention_mask, stream, vectors)[-1][1]

    def activations(
        self,
        input_ids: Int[Array, "batch length *features"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None = None,
        vectors: Float[Array, "batch length vector_size"] | None = None,
    ) -> list[tuple[str, Array]]:
        """Compute the output of each part, in order: "embedding", "layers.0", …, "lstm", "classifier"."""
        x, activations = self.transformer_encoder(input_ids, attention_mask, stream, vectors)
        if self.config.lstm is not None:
            x = self.lstm(x, sentence_starts(attention_mask), stream)
            activations.append(("lstm", x))
        x = dropout(x, self.config.dropout, HEAD_SITE, stream)
        return [*activations, ("classifier", self.classifier(x))]
