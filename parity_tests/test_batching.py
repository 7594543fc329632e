"""Batching is invisible: a sentence's logits and gradient do not depend on padding, neighbours or packing."""

import numpy as np
import pytest

from hybridner.batches.batch import Batch
from hybridner.batches.encoding import IGNORED
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.model.parts import shift_invariant
from hybridner.model.twins import BACKENDS, learner_class
from hybridner.parity.errors import global_norm, relative_error, tensor_errors, worst
from hybridner.parity.samples import features_shape, make_valid, random_ids, random_weights
from parity_tests.on_devices import WORDS

BAR = 1e-12
ZEROS = shift_invariant(WORDS)
LENGTHS = (7, 11, 5, 4, 16)
SHAPE = (3, 24)
# The place of each sentence: {sentence: (row, first column)}.
LAYOUTS = {
    "padded": {0: (0, 0)},
    "padded on the left": {0: (1, 17)},
    "beside others": {0: (1, 0), 1: (0, 0), 4: (2, 0)},
    "first in a packed row": {0: (0, 0), 1: (0, 7), 2: (0, 18), 3: (1, 0), 4: (1, 4)},
    "in the middle of a packed row": {1: (0, 0), 0: (0, 11), 2: (0, 18), 4: (2, 0)},
    "last in a packed row": {1: (2, 0), 2: (2, 11), 0: (2, 16)},
    "after a gap": {2: (0, 0), 0: (0, 9), 3: (0, 20)},
}


def original(use_lstm):
    return original_model(
        vocab_size=40,
        num_labels=5,
        hidden_size=16,
        num_heads=2,
        num_encoder_layers=1,
        max_length=24,
        dropout=0.0,
        use_lstm=use_lstm,
    )


CONFIGS = {"original": original(True), "no lstm": original(False), "words": WORDS.without_dropout()}


@pytest.fixture(params=["original", pytest.param("no lstm", marks=pytest.mark.slow), "words"], scope="module")
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=BACKENDS, scope="module")
def learner(request, config):
    learner = learner_class(request.param)(config, make_options("original", dtype="float64", parallel="jit"))
    learner.init(random_weights(config, 3))
    return learner


@pytest.fixture(scope="module")
def alone(learner):
    return in_batch(learner, layout_of(learner.config, {0: (0, 0)}, (1, LENGTHS[0])))


def sentence(config, number):
    """Make a sentence's pieces (or words) and labels; some have no label."""
    rng = np.random.Generator(np.random.Philox(key=[number, 5]))
    length = LENGTHS[number]
    labels = np.where(rng.random(length) < 0.3, IGNORED, rng.integers(0, 5, length))
    labels[0] = 2
    if config.head.kind == "crf":
        make_valid(labels, config.num_labels)
    return random_ids(config, length, rng), labels


def layout_of(config, places, shape=SHAPE):
    """Make a batch in which only the first sentence has labels, so the gradient is its share."""
    input_ids, attention_mask = np.zeros((*shape, *features_shape(config)), np.int32), np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED, np.int32)
    rows, starts = (np.array(column) for column in zip(*places.values(), strict=True))
    lengths = np.array([LENGTHS[number] for number in places])
    for number, (row, start) in places.items():
        span = slice(start, start + LENGTHS[number])
        assert not attention_mask[row, span].any()
        input_ids[row, span], own_labels = sentence(config, number)
        attention_mask[row, span] = attention_mask[row].max() + 1
        if number == 0:
            labels[row, span] = own_labels
    return Batch(input_ids, attention_mask, labels, np.array(list(places)), rows, starts, lengths)


def in_batch(learner, batch):
    """Return the first sentence's logits, its loss and its share of the gradient."""
    at = batch.examples.tolist().index(0)
    span = slice(batch.starts[at], batch.starts[at] + LENGTHS[0])
    logits = learner.gather(learner.predict(batch))[batch.rows[at], span]
    return logits, *learner.gradients(batch)


def difference(found, expected):
    """Return the largest relative error of logits, loss and gradients, and its place."""
    (logits, loss, grads), (logits_alone, loss_alone, grads_alone) = found, expected
    size = global_norm(grads_alone)
    errors = {"logits": relative_error(logits, logits_alone), "loss": abs(loss - loss_alone) / loss_alone}
    errors |= tensor_errors(grads, grads_alone)
    for name in errors.keys() & ZEROS:  # their true value is zero
        errors[name] = global_norm({name: grads[name]}) / size
    return worst(errors)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sentences_logits_and_gradient_do_not_depend_on_where_it_stands(learner, alone, layout):
    where, error = difference(in_batch(learner, layout_of(learner.config, LAYOUTS[layout])), alone)
    assert error <= BAR, where


def test_the_gradient_of_a_batch_is_the_sum_of_its_sentences_shares(learner):
    places = LAYOUTS["first in a packed row"]
    whole = layout_of(learner.config, places)
    total, num_losses, is_crf = {}, 0, learner.config.head.kind == "crf"
    for number, (row, start) in places.items():
        span = slice(start, start + LENGTHS[number])
        part = layout_of(learner.config, places)
        part.labels[:] = IGNORED
        part.labels[row, span] = whole.labels[row, span] = sentence(learner.config, number)[1]
        count = 1 if is_crf else (part.labels != IGNORED).sum()
        num_losses += count
        for name, gradient in learner.gradients(part)[1].items():
            total[name] = total.get(name, 0) + gradient * count
    mean = {name: value / num_losses for name, value in total.items()}
    errors = tensor_errors(learner.gradients(whole)[1], mean)
    where, error = worst({name: error for name, error in errors.items() if name not in ZEROS})
    assert error <= BAR, where


def test_the_numbers_of_the_sentences_in_a_row_may_be_any(learner, alone):
    batch = layout_of(learner.config, LAYOUTS["in the middle of a packed row"])
    batch.attention_mask[:] = np.array([0, 9, 4, 70])[batch.attention_mask]
    where, error = difference(in_batch(learner, batch), alone)
    assert error <= BAR, where


def one_sentence_of_all(batch):
    batch.attention_mask[:] = 1


def padding_as_part_of_the_sentence(batch):
    batch.attention_mask[batch.attention_mask == 0] = 1


def neighbours_under_one_number(batch):
    batch.attention_mask[batch.attention_mask > 1] = 1


@pytest.mark.parametrize(
    ("layout", "broken"),
    [
        ("in the middle of a packed row", one_sentence_of_all),
        ("in the middle of a packed row", neighbours_under_one_number),
        ("padded", padding_as_part_of_the_sentence),
    ],
)
def test_a_broken_mask_is_seen(learner, alone, layout, broken):
    batch = layout_of(learner.config, LAYOUTS[layout])
    broken(batch)
    found = in_batch(learner, batch)
    assert difference(found, alone)[1] > 1e6 * BAR
    assert relative_error(found[0], alone[0]) > 1e-3
