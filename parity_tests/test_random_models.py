"""Not one lucky model: models of random sizes, parts and weights pass the fast checks in float64."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.config.model import CRFHead, EncoderConfig, LSTMConfig, ModelConfig, PiecesInput, SoftmaxHead
from hybridner.config.presets import make_options
from hybridner.parity.bars import BARS
from hybridner.parity.ladder import compare_activations, compare_dropout, compare_weights
from hybridner.parity.samples import random_batch, random_weights
from hybridner_flax.learner import Learner as FlaxLearner
from hybridner_torch.learner import Learner as TorchLearner

pytestmark = pytest.mark.slow

ROW_LENGTH, NUM_ROWS = 20, 8


@st.composite
def lstms(draw):
    return LSTMConfig(
        direction=draw(st.sampled_from(["forward", "bidirectional"])),
        hidden_size=draw(st.sampled_from([None, 1, 7])),
        input_dropout=draw(st.floats(0, 0.6)),
        joins_input=draw(st.booleans()),
    )


@st.composite
def models(draw):
    num_heads = draw(st.integers(1, 4))
    vocab_size = draw(st.integers(2, 100))
    crf = draw(st.booleans())
    rates = st.one_of(st.none(), st.floats(0, 0.6))
    return ModelConfig(
        num_labels=draw(st.sampled_from([5, 9, 13])) if crf else draw(st.integers(2, 12)),
        input=PiecesInput(
            vocab_size,
            pad_token_id=draw(st.integers(0, vocab_size - 1)),
            max_length=draw(st.integers(3, 40)),
            positions=draw(st.sampled_from(["sinusoidal", "learned"])),
        ),
        encoder=EncoderConfig(
            num_layers=draw(st.integers(0, 2)),
            hidden_size=num_heads * draw(st.sampled_from([6, 8, 10])),
            num_heads=num_heads,
            feed_forward_size=draw(st.integers(1, 50)),
            activation=draw(st.sampled_from(["relu", "gelu"])),
            layer_norm_eps=draw(st.sampled_from([1e-5, 1e-12])),
            norm=draw(st.sampled_from(["post", "pre"])),
            relative_distance=draw(st.sampled_from([0, 1, 5, 30])),
            dropout=draw(rates),
            attention_dropout=draw(rates),
        ),
        lstm=draw(st.sampled_from([None, LSTMConfig(), draw(lstms())])),
        head=CRFHead() if crf else SoftmaxHead(),
        dropout=draw(st.floats(0, 0.6)),
    )


@st.composite
def batches(draw, config):
    """Make a batch with one sentence per row and a packed one, of one shape."""
    lengths = st.lists(st.integers(1, min(config.input.max_length, ROW_LENGTH)), min_size=1, max_size=NUM_ROWS)
    seed = draw(st.integers(0, 2**32))
    shape = {"row_length": ROW_LENGTH, "num_rows": NUM_ROWS}
    return [random_batch(config, draw(lengths), seed + packed, packed=bool(packed), **shape) for packed in (0, 1)]


@settings(max_examples=5, derandomize=True, deadline=None, database=None)
@given(st.data())
def test_any_two_twins_are_one_function(data):
    config = data.draw(models())
    on = data.draw(batches(config))
    learners = [
        twin(config, make_options("original", dtype="float64", parallel="jit")) for twin in (FlaxLearner, TorchLearner)
    ]
    weights = random_weights(config, data.draw(st.integers(0, 2**32)))
    for learner in learners:
        learner.init(weights)
    bars = BARS["float64"]
    for finding in (
        compare_weights(*learners),
        compare_activations(*learners, on, bars),
        compare_dropout(*learners, on, bars),
    ):
        assert finding.passed, finding
