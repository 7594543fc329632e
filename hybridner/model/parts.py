"""The table of a model's tensors: one row each, in the order of the forward pass.

Names are those of the original HybridNER's PyTorch ``state_dict``; the embedding, which appears there twice, appears
here once. What depends on a tensor's role (initial value, layout in Flax, weight decay) follows from the row's kind,
never from its name.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from hybridner.config.model import EncoderConfig, ModelConfig, PiecesInput, SoftmaxHead

Kind = Literal["embedding", "positions", "linear_weight", "linear_bias", "key_bias", "norm_scale", "norm_bias"]
"""``linear_weight`` is ``[out_features, in_features]``; ``linear_bias`` comes right after its weight. A ``key_bias``
adds the same number to all attention scores of a query, which softmax ignores: its true gradient is zero."""

EMBEDDING = "transformer_encoder.embed_tokens.weight"
_POSITIONS = "transformer_encoder.embed_positions.weight"
_ENCODER = "transformer_encoder.encoder"


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
        hidden = config.encoder.hidden_size
        yield from _linear("lstm.linear_ih", hidden, 4 * hidden)
        yield from _linear("lstm.linear_hh", hidden, 4 * hidden)
    match config.head:
        case SoftmaxHead():
            yield from _linear("classifier", config.encoder.hidden_size, config.num_labels)


def shift_invariant(config: ModelConfig) -> set[str]:
    """Name the tensors whose true gradient is zero."""
    return {row.name for row in rows(config) if row.kind == "key_bias"}


def _input_rows(config: PiecesInput, hidden: int) -> Iterator[Row]:
    yield Row(EMBEDDING, (config.vocab_size, hidden), "embedding")
    if config.positions == "learned":
        yield Row(_POSITIONS, (config.max_length, hidden), "positions")


def _encoder_rows(config: EncoderConfig) -> Iterator[Row]:
    hidden, inner = config.hidden_size, config.feed_forward_size
    yield from _layer_norm(f"{_ENCODER}.embedding_layer_norm", hidden)
    for i in range(config.num_layers):
        layer = f"{_ENCODER}.layers.{i}"
        yield from _linear(f"{layer}.self_attn.q_proj", hidden, hidden)
        yield from _linear(f"{layer}.self_attn.k_proj", hidden, hidden, "key_bias")
        yield from _linear(f"{layer}.self_attn.v_proj", hidden, hidden)
        yield from _linear(f"{layer}.self_attn.out_proj", hidden, hidden)
        yield from _layer_norm(f"{layer}.self_attn_layer_norm", hidden)
        yield from _linear(f"{layer}.fc1", hidden, inner)
        yield from _linear(f"{layer}.fc2", inner, hidden)
        yield from _layer_norm(f"{layer}.final_layer_norm", hidden)


def _linear(name: str, in_features: int, out_features: int, bias: Kind = "linear_bias") -> Iterator[Row]:
    yield Row(f"{name}.weight", (out_features, in_features), "linear_weight")
    yield Row(f"{name}.bias", (out_features,), bias)


def _layer_norm(name: str, hidden: int) -> Iterator[Row]:
    yield Row(f"{name}.weight", (hidden,), "norm_scale")
    yield Row(f"{name}.bias", (hidden,), "norm_bias")
