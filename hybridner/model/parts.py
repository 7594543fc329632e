"""The table of a model's tensors: one row each, in the order of the forward pass.

Names are those of the original HybridNER's PyTorch ``state_dict``; the embedding, which appears there twice, appears
here once. What depends on a tensor's role (initial value, layout in Flax, weight decay) follows from the row's kind,
never from its name.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from hybridner.config.model import CRFHead, EncoderConfig, ModelConfig, PiecesInput, WordsInput
from hybridner.config.options import OptimizationOptions
from hybridner.text.vocabulary import AFFIXES

Kind = Literal[
    "embedding",
    "positions",
    "linear_weight",
    "linear_bias",
    "key_bias",
    "norm_scale",
    "norm_bias",
    "relative_bias",
    "transitions",
]
"""``linear_weight`` is ``[out_features, in_features]``; ``linear_bias`` comes right after its weight. A ``key_bias``
adds the same number to all attention scores of a query, which softmax ignores: its true gradient is zero. Each row of
``relative_bias`` is a distance between two positions, each column a head."""

_MATRICES: tuple[Kind, ...] = ("embedding", "positions", "linear_weight")

EMBEDDING = "transformer_encoder.embed_tokens.weight"
_POSITIONS = "transformer_encoder.embed_positions.weight"
_ENCODER = "transformer_encoder.encoder"
_WORDS = "transformer_encoder.words"
NUM_AFFIXES = len(AFFIXES)


class Row(NamedTuple):
    """One tensor of a model.

    Attributes:
        name: canonical name.
        shape: canonical shape.
        kind: decides the initial value, the Flax layout and the treatment in training.
        trained: whether training changes it.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    trained: bool = True


def rows(config: ModelConfig) -> Iterator[Row]:
    """List the tensors of a model, in the order of the forward pass."""
    yield from _input_rows(config.input, config.encoder.hidden_size)
    yield from _encoder_rows(config.encoder)
    if config.lstm is not None:
        size = config.lstm_size
        for direction in ("", "reverse_") if config.lstm.direction == "bidirectional" else ("",):
            yield from _linear(f"lstm.{direction}linear_ih", config.encoder.hidden_size, 4 * size)
            yield from _linear(f"lstm.{direction}linear_hh", size, 4 * size)
    yield from _linear("classifier", config.head_size, config.num_labels)
    if isinstance(config.head, CRFHead):
        yield Row("crf.start", (config.num_labels,), "transitions")
        yield Row("crf.between", (config.num_labels, config.num_labels), "transitions")
        yield Row("crf.end", (config.num_labels,), "transitions")


def decays(kind: Kind, options: OptimizationOptions) -> bool:
    """Check that weight decay applies to tensors of this kind."""
    return options.decayed == "all" or kind in _MATRICES


def shift_invariant(config: ModelConfig) -> set[str]:
    """Name the tensors whose true gradient is zero."""
    return {row.name for row in rows(config) if row.kind == "key_bias"}


def activation_places(config: ModelConfig) -> list[str]:
    """Name the parts whose output the parity checks compare, in the order of the forward pass."""
    layers = [f"layers.{i}" for i in range(config.encoder.num_layers)]
    encoder = ["encoder"] if config.encoder.norm == "pre" else []
    return ["embedding", *layers, *encoder, *(["lstm"] if config.lstm is not None else []), "classifier"]


def _input_rows(config: PiecesInput | WordsInput, hidden: int) -> Iterator[Row]:
    if isinstance(config, WordsInput):
        yield from _word_rows(config, hidden)
        return
    yield Row(EMBEDDING, (config.vocab_size, hidden), "embedding")
    if config.positions == "learned":
        yield Row(_POSITIONS, (config.max_length, hidden), "positions")


def _word_rows(config: WordsInput, hidden: int) -> Iterator[Row]:
    yield Row(f"{_WORDS}.word.weight", (config.num_words, config.word_size), "embedding")
    yield Row(f"{_WORDS}.shape.weight", (config.num_shapes, config.shape_size), "embedding")
    yield Row(f"{_WORDS}.affix.weight", (NUM_AFFIXES * config.affix_rows, config.affix_size), "embedding")
    yield Row(f"{_WORDS}.character.weight", (config.num_characters, config.character_size), "embedding")
    for i, (width, number) in enumerate(config.filters):
        yield from _linear(f"{_WORDS}.convolutions.{i}", width * config.character_size, number)
    yield from _linear(f"{_WORDS}.projection", word_features_size(config), hidden)


def word_features_size(config: WordsInput) -> int:
    """Count the concatenated features of a word: those that are learned, then its frozen vector."""
    filters = sum(number for _, number in config.filters)
    learned = config.word_size + config.shape_size + NUM_AFFIXES * config.affix_size + filters
    return learned + config.vector_size


def _encoder_rows(config: EncoderConfig) -> Iterator[Row]:
    hidden, inner = config.hidden_size, config.feed_forward_size
    yield from _layer_norm(f"{_ENCODER}.embedding_layer_norm", hidden)
    for i in range(config.num_layers):
        layer = f"{_ENCODER}.layers.{i}"
        yield from _linear(f"{layer}.self_attn.q_proj", hidden, hidden)
        yield from _linear(f"{layer}.self_attn.k_proj", hidden, hidden, "key_bias")
        yield from _linear(f"{layer}.self_attn.v_proj", hidden, hidden)
        yield from _linear(f"{layer}.self_attn.out_proj", hidden, hidden)
        if config.relative_distance:
            distances = 2 * config.relative_distance + 1
            yield Row(f"{layer}.self_attn.relative_bias.weight", (distances, config.num_heads), "relative_bias")
        yield from _layer_norm(f"{layer}.self_attn_layer_norm", hidden)
        yield from _linear(f"{layer}.fc1", hidden, inner)
        yield from _linear(f"{layer}.fc2", inner, hidden)
        yield from _layer_norm(f"{layer}.final_layer_norm", hidden)
    if config.norm == "pre":
        yield from _layer_norm(f"{_ENCODER}.layer_norm", hidden)


def _linear(name: str, in_features: int, out_features: int, bias: Kind = "linear_bias") -> Iterator[Row]:
    yield Row(f"{name}.weight", (out_features, in_features), "linear_weight")
    yield Row(f"{name}.bias", (out_features,), bias)


def _layer_norm(name: str, hidden: int) -> Iterator[Row]:
    yield Row(f"{name}.weight", (hidden,), "norm_scale")
    yield Row(f"{name}.bias", (hidden,), "norm_bias")
