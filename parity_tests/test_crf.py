"""The CRF's loss is that of a list of all label sequences with their scores."""

from itertools import pairwise, product

import numpy as np
import pytest

from hybridner.batches.encoding import IGNORED
from hybridner.config.presets import make_options
from hybridner.corpora.labels import bioes_labels, labels_of
from hybridner.model.crf import allowed_transitions
from hybridner.model.twins import BACKENDS, learner_class
from hybridner.parity.samples import random_batch, random_weights
from hybridner.tagging.decoding import decode_many
from hybridner.tagging.lattice import Lattice, constraint_transitions, model_transitions
from parity_tests.on_devices import WORDS

CONFIG = WORDS.without_dropout()
LABELS = bioes_labels(labels_of(["LOC", "PER"]))


@pytest.fixture(params=BACKENDS, scope="module")
def learner(request):
    learner = learner_class(request.param)(CONFIG, make_options("original", dtype="float64", parallel="jit"))
    learner.init(random_weights(CONFIG, 3))
    return learner


@pytest.fixture(scope="module")
def batch():
    return random_batch(CONFIG, [4, 3, 1, 2, 4, 2], seed=5, row_length=6, packed=True)


def sentences(learner, batch):
    """Emissions and labels of the labelled words of each sentence."""
    logits = learner.gather(learner.predict(batch))
    for row, start, length in zip(batch.rows, batch.starts, batch.lengths, strict=True):
        labels = batch.labels[row, start : start + length]
        yield logits[row, start : start + length][labels != IGNORED], labels[labels != IGNORED]


def score(emissions, labels, transitions):
    inner = sum(transitions.between[a, b] for a, b in pairwise(labels))
    at_words = sum(emission[label] for emission, label in zip(emissions, labels, strict=True))
    return transitions.start[labels[0]] + at_words + inner + transitions.end[labels[-1]]


def test_the_loss_is_the_mean_over_sentences_of_all_sequences_listed(learner, batch):
    transitions = model_transitions(LABELS, learner.weights())
    losses = []
    for emissions, labels in sentences(learner, batch):
        if len(labels):
            scores = [score(emissions, all_, transitions) for all_ in product(range(len(LABELS)), repeat=len(labels))]
            losses.append(np.logaddexp.reduce(scores) - score(emissions, labels.tolist(), transitions))
    assert len(losses) >= 4
    assert learner.gradients(batch)[0] == pytest.approx(np.mean(losses), rel=1e-12)


def test_decoding_finds_the_sequence_with_the_highest_score_of_all(learner, batch):
    transitions = model_transitions(LABELS, learner.weights())
    found = [emissions for emissions, labels in sentences(learner, batch) if len(labels)]
    for emissions, decoded in zip(found, decode_many(found, transitions), strict=True):
        all_ = list(product(range(len(LABELS)), repeat=len(emissions)))
        assert tuple(decoded) == max(all_, key=lambda labels: score(emissions, labels, transitions))


def test_the_loss_is_that_of_the_lattice(learner, batch):
    transitions = model_transitions(LABELS, learner.weights())
    found = [(emissions, labels) for emissions, labels in sentences(learner, batch) if len(labels)]
    lattice = Lattice(np.concatenate([e for e, _ in found]), np.array([len(e) for e, _ in found]), transitions)
    gold = sum(score(emissions, labels, transitions) for emissions, labels in found)
    assert learner.gradients(batch)[0] == pytest.approx((lattice.log_partition.sum() - gold) / len(found), rel=1e-12)


@pytest.mark.parametrize("types", [["PER"], ["A", "B"], list("ABCDEFG")])
def test_both_allow_exactly_the_valid_bioes_sequences(types):
    constraints = constraint_transitions(bioes_labels(labels_of(types)))
    for allowed, scores in zip(
        allowed_transitions(1 + 4 * len(types)), (constraints.start, constraints.between, constraints.end), strict=True
    ):
        np.testing.assert_array_equal(allowed, scores == 0)
