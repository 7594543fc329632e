"""A model's parts and sizes: a frozen dataclass for each slot, and the original's model as one setting of them."""

from dataclasses import dataclass, replace
from typing import Literal

from hybridner.config.checks import require

Positions = Literal["sinusoidal", "learned"]
Activation = Literal["relu", "gelu"]
Norm = Literal["post", "pre"]
Direction = Literal["forward", "bidirectional"]
_MOST_LAYERS = 10_000  # keeps every part's dropout sites in a range of its own


def _check_dropout(name: str, rate: float | None) -> None:
    require(rate is None or 0 <= rate < 1, f"{name} must be at least 0 and below 1, not {rate}")


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
class WordsInput:
    """Words as their embedding, that of their shape, hashed affixes, and convolutions over their characters.

    Attributes:
        num_words: rows of the table of words; the first two are padding and the unknown word.
        num_shapes: rows of the table of shapes.
        num_characters: rows of the table of characters.
        max_length: most words of a row.
        affix_rows: rows that each affix is hashed into.
        max_characters: characters of a word that count.
        word_size: width of a word's embedding.
        shape_size: width of a shape's.
        affix_size: width of an affix's.
        character_size: width of a character's.
        filters: convolutions over the characters, each of some width and number of filters (Ma and Hovy 2016).
        dropout: dropout probability of the concatenated features; None takes the model's.
        kind: name of this part in ``config.json``.
    """

    num_words: int
    num_shapes: int
    num_characters: int
    max_length: int = 1024
    affix_rows: int = 4096
    max_characters: int = 20
    word_size: int = 100
    shape_size: int = 30
    affix_size: int = 25
    character_size: int = 30
    filters: tuple[tuple[int, int], ...] = ((3, 50), (5, 30))
    dropout: float | None = None
    kind: Literal["words"] = "words"

    def __post_init__(self) -> None:
        for name in ("num_words", "num_shapes", "num_characters"):
            require(getattr(self, name) >= 2, f"{name} must be at least 2, not {getattr(self, name)}")
        for name in ("affix_rows", "max_characters", "word_size", "shape_size", "affix_size", "character_size"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(self.max_length >= 3, f"max_length must be at least 3, not {self.max_length}")
        for width, number in self.filters:
            require(
                width % 2 == 1 and number >= 1, f"filters must have odd widths and at least 1 filter: {self.filters}"
            )
        _check_dropout("dropout", self.dropout)

    @property
    def pad_token_id(self) -> int:
        """Number that fills rows."""
        return 0


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Transformer layers.

    Attributes:
        num_layers: number of layers; 0 leaves the embeddings as they are.
        hidden_size: width of embeddings and encoder.
        num_heads: attention heads; must divide ``hidden_size``.
        feed_forward_size: width inside the feed-forward net.
        activation: "relu", or "gelu" in its exact form, with the error function.
        layer_norm_eps: added to the variance in every LayerNorm.
        norm: place of each LayerNorm: "post" is after the residual (Vaswani et al. 2017); "pre" is before attention and
            before the feed-forward net, with one more after the last layer (Xiong et al. 2020).
        relative_distance: largest distance between two positions that attention tells apart: each layer learns a bias
            for each head and distance, added to the scores (Shaw et al. 2018; Raffel et al. 2020); 0 leaves it out.
        dropout: dropout probability of the layers; None takes the model's.
        attention_dropout: that of the attention probabilities; None takes that of the layers.
    """

    num_layers: int = 6
    hidden_size: int = 256
    num_heads: int = 4
    feed_forward_size: int = 1024
    activation: Activation = "relu"
    layer_norm_eps: float = 1e-5
    norm: Norm = "post"
    relative_distance: int = 0
    dropout: float | None = None
    attention_dropout: float | None = None

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_heads", "feed_forward_size"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(
            0 <= self.num_layers <= _MOST_LAYERS,
            f"num_layers must be from 0 to {_MOST_LAYERS:,}, not {self.num_layers}",
        )
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} is not divisible by num_heads {self.num_heads}",
        )
        require(self.hidden_size % 2 == 0, f"hidden_size must be even, not {self.hidden_size}")
        require(self.layer_norm_eps > 0, f"layer_norm_eps must be above 0, not {self.layer_norm_eps}")
        require(self.relative_distance >= 0, f"relative_distance must not be negative, not {self.relative_distance}")
        for name in ("dropout", "attention_dropout"):
            _check_dropout(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class LSTMConfig:
    """One LSTM layer in each direction.

    Attributes:
        direction: "forward" reads a sentence left to right; "bidirectional" also reads it right to left and
            concatenates both states.
        hidden_size: width of a direction's state; None takes the encoder's.
        input_dropout: dropout probability in front of the LSTM.
        joins_input: concatenate the LSTM's input to its output, for the head.
    """

    direction: Direction = "forward"
    hidden_size: int | None = None
    input_dropout: float = 0.0
    joins_input: bool = False

    def __post_init__(self) -> None:
        require(self.hidden_size is None or self.hidden_size >= 1, f"hidden_size must be at least 1: {self}")
        _check_dropout("input_dropout", self.input_dropout)


@dataclass(frozen=True, slots=True)
class SoftmaxHead:
    """A linear classifier that labels each word by itself.

    Attributes:
        kind: name of this part in ``config.json``.
    """

    kind: Literal["softmax"] = "softmax"


@dataclass(frozen=True, slots=True)
class CRFHead:
    """A linear classifier, and scores of labels that follow each other (Lafferty et al. 2001).

    The labels are O and, for each type, B, I, E and S, in this order; only valid sequences have a probability.

    Attributes:
        kind: name of this part in ``config.json``.
    """

    kind: Literal["crf"] = "crf"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that decides a model's tensors and its forward pass.

    Attributes:
        num_labels: number of classes of the head.
        input: how words enter the model.
        encoder: the Transformer.
        lstm: the LSTM between encoder and head; None leaves it out.
        head: how labels come out.
        dropout: dropout probability in front of the head, and of each part that has none of its own; rounded to the
            nearest 1/256.

    Raises:
        InputError: a size is below 1, ``num_heads`` does not divide ``hidden_size``, …
    """

    num_labels: int
    input: PiecesInput | WordsInput
    encoder: EncoderConfig = EncoderConfig()
    lstm: LSTMConfig | None = LSTMConfig()
    head: SoftmaxHead | CRFHead = SoftmaxHead()
    dropout: float = 0.1

    def __post_init__(self) -> None:
        require(self.num_labels >= 1, f"num_labels must be at least 1, not {self.num_labels}")
        require(
            self.head.kind != "crf" or self.num_labels % 4 == 1,
            f"num_labels must be 1 + 4 × the number of types for a CRF, not {self.num_labels}",
        )
        _check_dropout("dropout", self.dropout)

    @property
    def input_dropout(self) -> float:
        """Dropout probability of the features of words."""
        own = None if self.input.kind == "pieces" else self.input.dropout
        return self.dropout if own is None else own

    @property
    def layer_dropout(self) -> float:
        """Dropout probability of the encoder's layers."""
        return self.dropout if self.encoder.dropout is None else self.encoder.dropout

    @property
    def attention_dropout(self) -> float:
        """Dropout probability of the attention probabilities."""
        return self.layer_dropout if self.encoder.attention_dropout is None else self.encoder.attention_dropout

    @property
    def lstm_size(self) -> int:
        """Width of the state of each of the LSTM's directions."""
        own = None if self.lstm is None else self.lstm.hidden_size
        return self.encoder.hidden_size if own is None else own

    @property
    def head_size(self) -> int:
        """Width of the head's input."""
        if self.lstm is None:
            return self.encoder.hidden_size
        states = self.lstm_size * (2 if self.lstm.direction == "bidirectional" else 1)
        return states + (self.encoder.hidden_size if self.lstm.joins_input else 0)

    def without_dropout(self) -> "ModelConfig":
        """Return the same model with all dropout probabilities 0."""
        encoder = replace(self.encoder, dropout=None, attention_dropout=None)
        lstm = None if self.lstm is None else replace(self.lstm, input_dropout=0.0)
        read = self.input if self.input.kind == "pieces" else replace(self.input, dropout=None)
        return replace(self, input=read, encoder=encoder, lstm=lstm, dropout=0.0)


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
    return (
        encoder == original
        and config.input.kind == "pieces"
        and config.input.positions == "sinusoidal"
        and config.lstm in (None, LSTMConfig())
        and config.head == SoftmaxHead()
    )
