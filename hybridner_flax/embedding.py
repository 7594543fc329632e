"""The embeddings of word pieces and positions, and the encoder above them."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from hybridner.config.model import ModelConfig, WordsInput
from hybridner.model.weights import position_table
from hybridner_flax.dropout import DropoutStream
from hybridner_flax.encoder import Encoder
from hybridner_flax.layers import Hidden, make_embedding, sentence_positions
from hybridner_flax.words import WordFeatures


class TransformerEncoder(nnx.Module):
    """Features of words, or piece embedding plus position embedding; then the encoder."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        self.config = config
        self.dtype = types["dtype"]
        hidden = config.encoder.hidden_size
        if isinstance(config.input, WordsInput):
            self.words = WordFeatures(config, **types)
        else:
            self.embed_tokens = make_embedding(config.input.vocab_size, hidden, **types)
            if config.input.positions == "learned":
                self.embed_positions = make_embedding(config.input.max_length, hidden, **types)
        self.encoder = Encoder(config, **types)

    def __call__(
        self,
        input_ids: Int[Array, "batch length *features"],
        attention_mask: Int[Array, "batch length"],
        stream: DropoutStream | None,
        vectors: Float[Array, "batch length vector_size"] | None,
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        if isinstance(self.config.input, WordsInput):
            return self.encoder(self.words(input_ids, stream, vectors), attention_mask, stream)
        embedded = jnp.take(self.embed_tokens.embedding[...], input_ids, axis=0).astype(self.dtype)
        # No gradient flows into the pad row; PyTorch's padding_idx does the same.
        is_pad = (input_ids == self.config.input.pad_token_id)[..., None]
        embedded = jnp.where(is_pad, jax.lax.stop_gradient(embedded), embedded)
        positions = sentence_positions(attention_mask)
        if self.config.input.positions == "learned":
            embedded = embedded + jnp.take(self.embed_positions.embedding[...], positions, axis=0).astype(self.dtype)
        else:
            table = position_table(self.config.input.max_length, self.config.encoder.hidden_size)
            embedded = embedded + jnp.asarray(table[: input_ids.shape[1]], self.dtype)[positions]
        return self.encoder(embedded, attention_mask, stream)
