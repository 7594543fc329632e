"""The sizes and parts of a model."""

from dataclasses import dataclass

from hybridner.config.checks import require


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that decides a model's tensors and its forward pass.

    Attributes:
        vocab_size: number of word pieces.
        num_labels: number of classes of the classifier.
        hidden_size: width H of embeddings, encoder and LSTM.
        num_heads: attention heads; must divide ``hidden_size``.
        num_encoder_layers: Transformer layers.
        max_length: longest input in pieces, special ones included; rows of the position table.
        pad_token_id: the piece whose embedding gets no gradient.
        dropout: probability of dropping, at every place that drops; rounded to the nearest 1/256.
        use_lstm: whether the LSTM stands between the encoder and the classifier.

    Raises:
        InputError: a size is below 1, ``num_heads`` does not divide ``hidden_size``, …
    """

    vocab_size: int
    num_labels: int
    hidden_size: int = 256
    num_heads: int = 4
    num_encoder_layers: int = 6
    max_length: int = 1024
    pad_token_id: int = 0
    dropout: float = 0.1
    use_lstm: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_labels", "hidden_size", "num_heads", "num_encoder_layers"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}",
        )
        require(self.hidden_size % 2 == 0, f"hidden_size must be even, not {self.hidden_size}")
        require(self.max_length >= 3, f"max_length must be at least 3, not {self.max_length}")
        require(0 <= self.dropout < 1, f"dropout must be at least 0 and below 1, not {self.dropout}")
        require(
            0 <= self.pad_token_id < self.vocab_size,
            f"pad_token_id {self.pad_token_id} is outside the vocabulary of {self.vocab_size}",
        )
