import dataclasses

import numpy as np
import pytest

from hybridner.errors import InputError
from hybridner.tagging import lattice
from hybridner.tagging.lattice import Lattice, Transitions, constraint_transitions, log_sum_exp
from tests.tagging.chains import LABEL_SETS, LABELS, constrained, random_scores, score_of, valid_sequences, zero_scores

LENGTHS = np.array([2, 4, 1, 3, 1])
BIOES = ("O", "B-A", "I-A", "E-A", "S-A")


def random_chain(labels, learned):
    rng = np.random.default_rng(len(labels))
    scores = random_scores(rng, len(labels)) if learned else zero_scores(len(labels))
    return rng.normal(scale=2, size=(LENGTHS.sum(), len(labels))), scores


def check(labels, learned, changed=lambda transitions: transitions):
    """Compare each result with the sum, or the best, of all valid sequences, listed one by one."""
    emissions, scores = random_chain(labels, learned)
    chain = Lattice(emissions, LENGTHS, changed(constrained(labels, scores)))
    path, marginals = chain.viterbi(), chain.marginals
    for sentence, (end, length) in enumerate(zip(np.cumsum(LENGTHS), LENGTHS, strict=True)):
        words = slice(end - length, end)
        listed = [numbers for numbers, _ in valid_sequences(length, labels)]
        log_scores = np.array([score_of(numbers, emissions[words], scores) for numbers in listed])
        assert path[words].tolist() == listed[log_scores.argmax()].tolist()
        log_partition = np.logaddexp.reduce(log_scores)
        assert chain.log_partition[sentence] == pytest.approx(log_partition, rel=1e-12)
        probabilities = np.exp(log_scores - log_partition)
        expected = np.zeros((length, len(labels)))
        for numbers, probability in zip(listed, probabilities, strict=True):
            expected[np.arange(length), numbers] += probability
        assert marginals[words] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("labels", LABEL_SETS)
def test_all_results_are_those_of_listing_every_valid_sequence(labels, learned):
    check(labels, learned)


def without(field):
    return lambda t: dataclasses.replace(t, **{field: np.where(np.isfinite(getattr(t, field)), 0, -np.inf)})


MISTAKES = {
    "transposed transitions": lambda t: Transitions(t.start, t.between.T, t.end),
    "start scores left out": without("start"),
    "end scores left out": without("end"),
    "learned transitions left out": without("between"),
    "start and end swapped": lambda t: Transitions(t.end, t.between, t.start),
    "constraints at the end left out": lambda t: dataclasses.replace(t, end=np.where(np.isfinite(t.end), t.end, 0)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_check_fails_with(mistake):
    with pytest.raises(AssertionError):
        check(BIOES, learned=True, changed=MISTAKES[mistake])


def test_sums_far_below_the_largest_are_not_lost_to_underflow():
    # Only B-PER, e^-1000 times as likely as O, leads to I-PER.
    emissions = np.array([[0.0, -1000, 0, -5000, 0], [-3000, -3000, 0, -3000, -3000]])
    chain = Lattice(emissions, np.array([2]), constraint_transitions(LABELS))
    assert chain.log_partition == pytest.approx([-1000], rel=1e-12)
    assert chain.marginals[:, [1, 2]].diagonal() == pytest.approx([1, 1], rel=1e-12)
    assert chain.viterbi().tolist() == [1, 2]


def test_many_rows_are_searched_in_blocks_with_the_same_result(monkeypatch):
    emissions, scores = random_chain(LABELS, learned=True)
    transitions = constrained(LABELS, scores)
    whole = Lattice(emissions, LENGTHS, transitions).viterbi()
    monkeypatch.setattr(lattice, "_BLOCK", 1)
    assert Lattice(emissions, LENGTHS, transitions).viterbi().tolist() == whole.tolist()


def test_a_step_takes_one_word_of_every_sentence(monkeypatch):
    steps = []
    whole = lattice._best_before
    monkeypatch.setattr(
        lattice, "_best_before", lambda scores, between: steps.append(len(scores)) or whole(scores, between)
    )
    Lattice(np.zeros((LENGTHS.sum(), 5)), LENGTHS, constraint_transitions(LABELS)).viterbi()
    assert steps == [3, 2, 1]


def test_a_log_sum_of_nothing_is_minus_infinity():
    assert log_sum_exp(np.full((2, 3), -np.inf)).tolist() == [-np.inf, -np.inf]
    assert log_sum_exp(np.array([1000.0, 1000.0])) == pytest.approx(1000 + np.log(2), rel=1e-15)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("O", "LABEL_1"), "'LABEL_1' is not BIO"),
        (("O", "B-"), "'B-' is not BIO"),
        (("O", "O"), "duplicate"),
        (("I-A",), "no valid sequence"),
        (("B-A", "E-A"), "no valid sequence"),
    ],
)
def test_labels_that_are_neither_bio_nor_bioes_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        constraint_transitions(labels)
