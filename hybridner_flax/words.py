"""Words as features: the word itself, its shape, hashed affixes, convolutions over its characters, a frozen vector."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from hybridner.config.model import ModelConfig, WordsInput
from hybridner.model.dropout import INPUT_SITES
from hybridner.model.parts import NUM_AFFIXES, word_features_size
from hybridner.text.vocabulary import FIRST_AFFIX, FIRST_CHARACTER, PAD, SHAPE, WORD
from hybridner_flax.dropout import DropoutStream, dropout
from hybridner_flax.layers import Hidden, make_embedding, make_linear


class WordFeatures(nnx.Module):
    """The features of each word, concatenated and projected to the encoder's width."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        assert isinstance(config.input, WordsInput)
        self.config, self.dropout, self.dtype = config.input, config.input_dropout, types["dtype"]
        self.word = make_embedding(self.config.num_words, self.config.word_size, **types)
        self.shape = make_embedding(self.config.num_shapes, self.config.shape_size, **types)
        self.affix = make_embedding(NUM_AFFIXES * self.config.affix_rows, self.config.affix_size, **types)
        self.character = make_embedding(self.config.num_characters, self.config.character_size, **types)
        self.convolutions = nnx.List(
            make_linear(width * self.config.character_size, number, **types) for width, number in self.config.filters
        )
        self.projection = make_linear(word_features_size(self.config), config.encoder.hidden_size, **types)

    def __call__(
        self,
        ids: Int[Array, "batch length features"],
        stream: DropoutStream | None,
        vectors: Float[Array, "batch length vector_size"] | None,
    ) -> Hidden:
        affixes = ids[..., FIRST_AFFIX:FIRST_CHARACTER]
        features = [
            _rows(self.word, ids[..., WORD]),
            _rows(self.shape, ids[..., SHAPE]),
            _rows(self.affix, affixes).reshape(*affixes.shape[:2], -1),
            *self._convolved(ids[..., FIRST_CHARACTER:]),
            *([] if vectors is None else [vectors]),
        ]
        x = jnp.concatenate([one.astype(self.dtype) for one in features], axis=-1)
        return self.projection(dropout(x, self.dropout, INPUT_SITES, stream))

    def _convolved(self, ids: Int[Array, "batch length characters"]) -> list[Float[Array, "batch length filters"]]:
        is_character = (ids != PAD)[..., None]
        embedded = jnp.where(is_character, _rows(self.character, ids), 0).astype(self.dtype)
        found = []
        for linear, (width, _) in zip(self.convolutions, self.config.filters, strict=True):
            side = width // 2
            padded = jnp.pad(embedded, ((0, 0), (0, 0), (side, side), (0, 0)))
            windows = [padded[:, :, i : i + ids.shape[2]] for i in range(width)]
            filtered = jax.nn.relu(linear(jnp.concatenate(windows, axis=-1)))
            found.append(jnp.where(is_character, filtered, 0).max(axis=2))
        return found


def _rows(table: nnx.Embed, ids: Int[Array, "..."]) -> Float[Array, "... features"]:
    return jnp.take(table.embedding[...], ids, axis=0)
