"""A model's parts and sizes: a frozen dataclass for each slot, and the original's model as one setting of them."""

from dataclasses import dataclass
from typing import Literal

from hybridner.config.checks import require

Positions = Literal["sinusoidal", "learned"]
Activation = Literal["relu", "gelu"]
_MOST_LAYERS = 10_000  # keeps every part's dropout sites in a range of its own


@dataclass(frozen=True, slots=True)
class PiecesInput:
    """Word pieces, embedded, with absolute positions.

    Attributes:
        vocab_size: number of word pieces.
        pad_token_id: piece that fills rows; its embedding gets no gradient.
        max_length: longest input in pieces, special ones included; rows of the position table.
        positions: "sinusoidal" (Vaswani et al. 2017) or "learned" (Devlin et al. 2019).
        kind: name of this part in ``config.json``.
    """

    vocab_size: int
    pad_token_id: int = 0
    max_length: int = 1024
    positions: Positions = "sinusoidal"
    kind: Literal["pieces"] = "pieces"

    def __post_init__(self) -> None:
        require(self.vocab_size >= 1, f"vocab_size must be at least 1, not {self.vocab_size}")
        require(self.max_length >= 3, f"max_length must be at least 3, not {self.max_length}")
        require(
            0 <= self.pad_token_id < self.vocab_size,
            f"pad_token_id {self.pad_token_id} is outside the vocabulary of {self.vocab_size}",
        )


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Transformer layers with LayerNorm after each residual.

    Attributes:
        num_layers: number of layers.
        hidden_size: width of embeddings, encoder and LSTM.
        num_heads: attention heads; must divide ``hidden_size``.
        feed_forward_size: width inside the feed-forward net.
        activation: "relu", or "gelu" in its exact form, with the error function.
        layer_norm_eps: added to the variance in every LayerNorm.
    """

    num_layers: int = 6
    hidden_size: int = 256
    num_heads: int = 4
    feed_forward_size: int = 1024
    activation: Activation = "relu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("num_layers", "hidden_size", "num_heads", "feed_forward_size"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(self.num_layers <= _MOST_LAYERS, f"num_layers must be at most {_MOST_LAYERS:,}")
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}",
        )
        require(self.hidden_size % 2 == 0, f"hidden_size must be even, not {self.hidden_size}")
        require(self.layer_norm_eps > 0, f"layer_norm_eps must be above 0, not {self.layer_norm_eps}")


@dataclass(frozen=True, slots=True)
class LSTMConfig:
    """One LSTM layer of the encoder's width, left to right.

    Attributes:
        direction: the way it reads a sentence.
    """

    direction: Literal["forward"] = "forward"


@dataclass(frozen=True, slots=True)
class SoftmaxHead:
    """A linear classifier that labels each word by itself.

    Attributes:
        kind: name of this part in ``config.json``.
    """

    kind: Literal["softmax"] = "softmax"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that decides a model's tensors and its forward pass.

    Attributes:
        num_labels: number of classes of the head.
        input: how words enter the model.
        encoder: the Transformer.
        lstm: the LSTM between encoder and head; None leaves it out.
        head: how labels come out.
        dropout: dropout probability, the same in every part; rounded to the nearest 1/256.

    Raises:
        InputError: a size is below 1, ``num_heads`` does not divide ``hidden_size``, …
    """

    num_labels: int
    input: PiecesInput
    encoder: EncoderConfig = EncoderConfig()
    lstm: LSTMConfig | None = LSTMConfig()
    head: SoftmaxHead = SoftmaxHead()
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self.num_labels >= 1, f"num_labels must be at least 1, not {self.num_labels}")
        require(0 <= self.dropout < 1, f"dropout must be at least 0 and below 1, not {self.dropout}")


def original_model(
    *,
    vocab_size: int,
    num_labels: int,
    hidden_size: int = 256,
    num_heads: int = 4,
    num_encoder_layers: int = 6,
    max_length: int = 1024,
    pad_token_id: int = 0,
    dropout: float = 0.1,
    use_lstm: bool = True,
) -> ModelConfig:
    """Configure the original HybridNER's model: sinusoidal positions, ReLU, four times the width inside.

    Raises:
        InputError: a size that no model can have.
    """
    return ModelConfig(
        num_labels=num_labels,
        input=PiecesInput(vocab_size, pad_token_id, max_length),
        encoder=EncoderConfig(num_encoder_layers, hidden_size, num_heads, 4 * hidden_size),
        lstm=LSTMConfig() if use_lstm else None,
        dropout=dropout,
    )


def is_original(config: ModelConfig) -> bool:
    """Check that a model is a setting of the original's: its tensors then tell all but the number of heads."""
    encoder = config.encoder
    original = EncoderConfig(encoder.num_layers, encoder.hidden_size, encoder.num_heads, 4 * encoder.hidden_size)
    return encoder == original and config.input.positions == "sinusoidal" and config.head == SoftmaxHead()
