"""The embeddings of word pieces and positions, and the encoder above them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybridner.config.model import ModelConfig, WordsInput
from hybridner.model.weights import position_table
from hybridner_torch.dropout import DropoutStream
from hybridner_torch.encoder import Encoder
from hybridner_torch.layers import Embedding, Hidden, sentence_positions
from hybridner_torch.words import WordFeatures


class TransformerEncoder(nn.Module):
    """Features of words, or piece embedding plus position embedding; then the encoder."""

    position_table: Tensor

    def __init__(self, config: ModelConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype
        hidden = config.encoder.hidden_size
        if isinstance(config.input, WordsInput):
            self.words = WordFeatures(config, dtype)
        else:
            # No gradient flows into the row of padding_idx.
            self.embed_tokens = Embedding(config.input.vocab_size, hidden, padding_idx=config.input.pad_token_id)
            if config.input.positions == "learned":
                self.embed_positions = Embedding(config.input.max_length, hidden)
            else:
                table = torch.tensor(position_table(config.input.max_length, hidden)).to(dtype)
                self.register_buffer("position_table", table, persistent=False)
        self.encoder = Encoder(config)

    def forward(
        self,
        input_ids: Int[Tensor, "batch length *features"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None,
        vectors: Float[Tensor, "batch length vector_size"] | None,
    ) -> tuple[Hidden, list[tuple[str, Hidden]]]:
        if isinstance(self.config.input, WordsInput):
            return self.encoder(self.words(input_ids, stream, vectors), attention_mask, stream)
        embedded = self.embed_tokens(input_ids).to(self.dtype)
        positions = sentence_positions(attention_mask)
        if self.config.input.positions == "learned":
            embedded = embedded + self.embed_positions(positions).to(self.dtype)
        else:
            embedded = embedded + self.position_table[positions]
        return self.encoder(embedded, attention_mask, stream)
