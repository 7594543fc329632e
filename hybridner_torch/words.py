"""Words as features: the word itself, its shape, hashed affixes, convolutions over its characters, a frozen vector."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybridner.config.model import ModelConfig, WordsInput
from hybridner.model.dropout import INPUT_SITES
from hybridner.model.parts import NUM_AFFIXES, word_features_size
from hybridner.text.vocabulary import FIRST_AFFIX, FIRST_CHARACTER, PAD, SHAPE, WORD
from hybridner_torch.dropout import DropoutStream, dropout
from hybridner_torch.layers import Embedding, Hidden, Linear


class WordFeatures(nn.Module):
    """The features of each word, concatenated and projected to the encoder's width."""

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(config.input, WordsInput)
        self.config, self.dropout, self.dtype = config.input, config.input_dropout, dtype
        self.word = Embedding(self.config.num_words, self.config.word_size)
        self.shape = Embedding(self.config.num_shapes, self.config.shape_size)
        self.affix = Embedding(NUM_AFFIXES * self.config.affix_rows, self.config.affix_size)
        self.character = Embedding(self.config.num_characters, self.config.character_size)
        self.convolutions = nn.ModuleList(
            Linear(width * self.config.character_size, number) for width, number in self.config.filters
        )
        self.projection = Linear(word_features_size(self.config), config.encoder.hidden_size)

    def forward(
        self,
        ids: Int[Tensor, "batch length features"],
        stream: DropoutStream | None,
        vectors: Float[Tensor, "batch length vector_size"] | None,
    ) -> Hidden:
        affixes = ids[..., FIRST_AFFIX:FIRST_CHARACTER]
        features = [
            self.word(ids[..., WORD]),
            self.shape(ids[..., SHAPE]),
            self.affix(affixes).flatten(2),
            *self._convolved(ids[..., FIRST_CHARACTER:]),
            *([] if vectors is None else [vectors]),
        ]
        x = torch.cat([one.to(self.dtype) for one in features], dim=-1)
        return self.projection(dropout(x, self.dropout, INPUT_SITES, stream))

    def _convolved(self, ids: Int[Tensor, "batch length characters"]) -> list[Float[Tensor, "batch length filters"]]:
        is_character = (ids != PAD)[..., None]
        embedded = self.character(ids).where(is_character, 0).to(self.dtype)
        found = []
        for linear, (width, _) in zip(self.convolutions, self.config.filters, strict=True):
            side = width // 2
            padded = F.pad(embedded, (0, 0, side, side))
            windows = [padded[:, :, i : i + ids.shape[2]] for i in range(width)]
            filtered = F.relu(linear(torch.cat(windows, dim=-1)))
            found.append(filtered.where(is_character, 0).amax(dim=2))
        return found
