"""The whole tagger in PyTorch.

Each file has the same classes, with the same names in the same order, as its namesake in ``hybridner_flax``.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import HEAD_SITE
from hybridner.model.weights import initial_weights
from hybridner_torch.canonical import load_weights
from hybridner_torch.crf import CRF
from hybridner_torch.dropout import DropoutStream, dropout
from hybridner_torch.embedding import TransformerEncoder
from hybridner_torch.layers import Linear, sentence_starts
from hybridner_torch.lstm import LSTM


class HybridNER(nn.Module):
    """The tagger. Its initial weights are those of ``seed``, the same as in Flax.

    >>> model = HybridNER(original_model(vocab_size=100, num_labels=9, hidden_size=32, num_encoder_layers=1))
    >>> model(torch.tensor([[2, 5, 3]]), torch.tensor([[1, 1, 1]])).shape
    torch.Size([1, 3, 9])

    Args:
        config: sizes and parts.
        seed: seed of the initial weights; None leaves them uninitialized.
        dtype: type of the computation; the caller's autocast provides types below ``float32``.
        param_dtype: type of the weights, ``float32`` or ``float64``.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        seed: int | None = 0,
        dtype: torch.dtype = torch.float32,
        param_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config = config
        self.transformer_encoder = TransformerEncoder(config, dtype)
        if config.lstm is not None:
            self.lstm = LSTM(config)
        self.classifier = Linear(config.head_size, config.num_labels)
        if config.head.kind == "crf":
            self.crf = CRF(config)
        self.to(param_dtype)
        if seed is not None:
            load_weights(self, initial_weights(config, seed))

    def forward(
        self,
        input_ids: Int[Tensor, "batch length *features"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None = None,
        vectors: Float[Tensor, "batch length vector_size"] | None = None,
    ) -> Float[Tensor, "batch length num_labels"]:
        """Compute the logits of every piece.

        Args:
            input_ids: int32 or int64, below ``vocab_size``; of words their features, in the order of
                :mod:`hybridner.text.vocabulary`.
            attention_mask: int32 or int64; 0 for padding, 1…n numbers the sentences within the row.
            stream: source of the dropout masks; None disables dropout.
            vectors: frozen vectors of words; None if ``vector_size`` is 0.
        """
        return self.activations(input_ids, attention_mask, stream, vectors)[-1][1]

    def activations(
        self,
        input_ids: Int[Tensor, "batch length *features"],
        attention_mask: Int[Tensor, "batch length"],
        stream: DropoutStream | None = None,
        vectors: Float[Tensor, "batch length vector_size"] | None = None,
    ) -> list[tuple[str, Tensor]]:
        """Compute the output of each part, in order: "embedding", "layers.0", …, "lstm", "classifier"."""
        x, activations = self.transformer_encoder(input_ids, attention_mask, stream, vectors)
        if self.config.lstm is not None:
            x = self.lstm(x, sentence_starts(attention_mask), stream)
            activations.append(("lstm", x))
        x = dropout(x, self.config.dropout, HEAD_SITE, stream)
        return [*activations, ("classifier", self.classifier(x))]
