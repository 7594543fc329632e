import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.schemes import entity_spans, from_bio, invalid_transitions, to_bio
from hybridner.tagging import decoding
from hybridner.tagging.decoding import argmax_tags, bio_tags, decode_many, entities_of, scored_spans_many
from hybridner.tagging.lattice import Lattice, constraint_transitions
from hybridner.text.words import split_words
from tests.tagging.chains import (
    LABEL_SETS,
    LABELS,
    constrained,
    random_scores,
    score_of,
    valid_sequences,
    zero_scores,
)

BIOES = ("O", "B-A", "I-A", "E-A", "S-A")


def decode(logits, labels):
    return decode_many([logits], constraint_transitions(labels))[0]


def scored_spans(tags, logits, labels):
    return scored_spans_many([tags], [logits], labels, constraint_transitions(labels))[0]


def random_logits(seed, lengths, labels, scale=1.0):
    rng = np.random.default_rng(seed)
    return [rng.normal(scale=scale, size=(length, len(labels))) for length in lengths]


def check_scores(labels, num_words, learned):
    """Compare each entity's score with its share of the probability of all valid sequences, listed one by one."""
    rng = np.random.default_rng(num_words)
    logits = rng.normal(scale=2, size=(num_words, len(labels)))
    scores = random_scores(rng, len(labels)) if learned else zero_scores(len(labels))
    sequences = [
        (numbers, spans, math.exp(score_of(numbers, logits, scores)))
        for numbers, spans in valid_sequences(num_words, labels)
    ]
    total = sum(weight for _, _, weight in sequences)
    tags = bio_tags([numbers for numbers, _, _ in sequences], labels)
    found = scored_spans_many(tags, [logits] * len(tags), labels, constrained(labels, scores))
    for (_, spans, _), scored in zip(sequences, found, strict=True):
        assert {span for span, _ in scored} == spans
        for span, score in scored:
            expected = sum(weight for _, others, weight in sequences if span in others) / total
            assert score == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("labels", LABEL_SETS)
@pytest.mark.parametrize("num_words", [1, 2, 3, 4])
@pytest.mark.parametrize("learned", [False, True])
def test_a_score_is_the_share_of_the_valid_sequences_that_contain_the_entity(labels, num_words, learned):
    check_scores(labels, num_words, learned)


@pytest.mark.parametrize("labels", [LABELS, BIOES])
def test_the_check_of_scores_tells_a_wrong_backward_sum(labels, monkeypatch):
    right = Lattice.backward.func
    monkeypatch.setattr(Lattice, "backward", property(lambda lattice: right(lattice) * 0.999))
    with pytest.raises(AssertionError):
        check_scores(labels, 3, learned=True)


def test_the_check_of_scores_tells_an_entity_that_may_continue(monkeypatch):
    monkeypatch.setattr(decoding, "_CONTINUE", ())
    with pytest.raises(AssertionError):
        check_scores(LABELS, 3, learned=False)


@given(
    st.lists(st.integers(0, 12), max_size=12),
    st.sampled_from(LABEL_SETS),
    st.sampled_from([1.0, 30.0, 1e4, 1e300]),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=200)
def test_many_sentences_are_decoded_and_scored_as_each_by_itself(lengths, labels, scale, seed):
    logits = random_logits(seed, lengths, labels, scale)
    numbers = decode_many(logits, constraint_transitions(labels))
    assert [one.tolist() for one in numbers] == [decode(one, labels).tolist() for one in logits]
    tags = bio_tags(numbers, labels)
    assert sum(map(invalid_transitions, tags)) == 0
    found = scored_spans_many(tags, logits, labels, constraint_transitions(labels))
    for spans, expected in zip(found, map(scored_spans, tags, logits, [labels] * len(logits)), strict=True):
        assert [span for span, _ in spans] == [span for span, _ in expected]
        assert [score for _, score in spans] == pytest.approx([score for _, score in expected], rel=1e-9)
        assert all(0 < score <= 1 for _, score in spans)


@pytest.mark.parametrize("labels", [LABELS, BIOES])
def test_the_argmax_is_kept_wherever_it_is_valid(labels):
    logits = random_logits(5, [3] * 300, labels)
    best = [argmax_tags(one) for one in logits]
    valid = {tuple(numbers) for numbers, _ in valid_sequences(3, labels)}
    decoded = decode_many(logits, constraint_transitions(labels))
    kept = [a.tolist() == b.tolist() for a, b in zip(best, decoded, strict=True)]
    assert kept == [tuple(one) in valid for one in best]
    assert 20 < sum(kept) < 280


@pytest.mark.parametrize("labels", [LABELS, BIOES])
def test_learned_transitions_may_outweigh_a_valid_argmax(labels):
    logits, rng = random_logits(5, [3] * 100, labels), np.random.default_rng(6)
    scores = random_scores(rng, len(labels))
    sequences = [numbers for numbers, _ in valid_sequences(3, labels)]
    decoded = decode_many(logits, constrained(labels, scores))
    for one, numbers in zip(logits, decoded, strict=True):
        assert numbers.tolist() == max(sequences, key=lambda other: score_of(other, one, scores)).tolist()
    assert any(a.tolist() != b.argmax(axis=1).tolist() for a, b in zip(decoded, logits, strict=True))


def test_equal_logits_are_decoded_alike_together_and_alone():
    logits = [np.zeros((length, len(LABELS))) for length in (3, 1, 4)]
    logits[2][1, LABELS.index("I-PER")] = 1
    together = decode_many(logits, constraint_transitions(LABELS))
    assert [one.tolist() for one in together] == [decode(one, LABELS).tolist() for one in logits]


def test_an_invalid_sequence_is_read_as_conlleval_reads_it_and_scored_as_that():
    (logits,) = random_logits(3, [6], LABELS)
    tags = ["I-PER", "I-PER", "I-LOC", "O", "B-LOC", "I-PER"]
    repaired = ["B-PER", "I-PER", "B-LOC", "O", "B-LOC", "B-PER"]
    found = scored_spans(tags, logits, LABELS)
    assert [span for span, _ in found] == entity_spans(tags)
    assert found == scored_spans(repaired, logits, LABELS)


@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), max_size=8))
def test_bioes_labels_come_out_as_the_bio_tags_they_were_made_of(tags):
    labels = ("O", *(f"{prefix}-{kind}" for kind in "AB" for prefix in "BIES"))
    valid = list(to_bio(tags, "BIO")[0])
    numbers = np.array([labels.index(label) for label in from_bio(valid, "BIOES")], np.int64)
    assert bio_tags([numbers], labels) == [valid]


def test_raw_bio_labels_stay_and_raw_bioes_labels_are_read_as_bio():
    assert bio_tags([np.array([2, 0, 4])], LABELS) == [["I-PER", "O", "I-LOC"]]
    assert bio_tags([np.array([3, 0, 2, 4])], BIOES) == [["B-A", "O", "B-A", "B-A"]]


def test_a_path_that_only_a_later_word_makes_likely_is_not_lost_to_underflow():
    # Word 0 is O by e^1000, word 1 is I-PER by e^3000: B-PER I-PER wins by e^2000.
    logits = np.array([[1000.0, 0, 0, -5000, 0], [0, 0, 3000, 0, 0]])
    (tags,) = bio_tags([decode(logits, LABELS)], LABELS)
    assert tags == ["B-PER", "I-PER"]
    assert scored_spans(tags, logits, LABELS) == [(("PER", 0, 2), 1.0)]


def test_an_entity_is_the_text_it_points_at():
    text = "Müller  flew to  New\tYork ."
    found = entities_of([(("PER", 0, 1), 0.5), (("LOC", 3, 5), 0.25)], split_words(text), text)
    assert [(e.text, e.label, e.start, e.end, e.score, e.words) for e in found] == [
        ("Müller", "PER", 0, 6, 0.5, (0, 1)),
        ("New\tYork", "LOC", 17, 25, 0.25, (3, 5)),
    ]


def test_a_type_may_contain_hyphens():
    assert scored_spans(["B-B-x"], np.zeros((1, 1)), ("B-B-x",)) == [(("B-x", 0, 1), 1.0)]


def test_neighbours_of_one_type_are_two_entities():
    found = scored_spans(["B-PER", "B-PER", "I-PER"], np.zeros((3, 5)), LABELS)
    assert [span for span, _ in found] == [("PER", 0, 1), ("PER", 1, 3)]


def test_a_sentence_without_words_has_no_tags_and_no_entities():
    logits = np.zeros((0, len(LABELS)))
    assert decode(logits, LABELS).tolist() == argmax_tags(logits).tolist() == []
    assert scored_spans([], logits, LABELS) == []
    assert decode_many([], constraint_transitions(LABELS)) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(value):
    logits = np.zeros((2, len(LABELS)))
    logits[1, 2] = value
    for refuse in (
        lambda: argmax_tags(logits),
        lambda: decode(logits, LABELS),
        lambda: scored_spans(["B-PER", "O"], logits, LABELS),
    ):
        with pytest.raises(ValueError, match="word 1 are not finite"):
            refuse()


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \[num_words, 5\]"):
        decode(np.zeros((2, 3)), LABELS)
    with pytest.raises(ValueError, match="not as many tags as rows of logits"):
        scored_spans(["B-PER"], np.zeros((2, 5)), LABELS)
