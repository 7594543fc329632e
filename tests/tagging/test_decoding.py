import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybridner.errors import InputError
from hybridner.tagging import decoding
from hybridner.tagging.decoding import argmax_tags, decode, entities
from hybridner.tagging.lattice import Steps, lattice_of, shifted, viterbi
from hybridner.text.words import Word, split_words

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
LABEL_SETS = [
    LABELS,
    ("I-LOC", "B-PER", "O", "I-PER", "B-LOC"),
    ("B-A", "I-A"),
    ("O", "B-A", "I-B"),
    ("O", "B-A", "B-B", "I-B"),
    ("O",),
]


def is_valid(tags):
    return all(
        not tag.startswith("I-") or (before is not None and before != "O" and before[2:] == tag[2:])
        for before, tag in zip([None, *tags], tags, strict=False)
    )


def valid_sequences(num_words, labels):
    for tags in itertools.product(range(len(labels)), repeat=num_words):
        if is_valid([labels[tag] for tag in tags]):
            yield np.array(tags, dtype=np.int64)


def log_probability(tags, logits):
    normalised = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return normalised[np.arange(len(tags)), tags].sum()


def words_of(num_words):
    text = " ".join(f"w{i}" for i in range(num_words))
    return split_words(text), text


def spans_of(tags, labels):
    names = [labels[tag] for tag in tags]
    return {
        (name[2:], i, next((j for j in range(i + 1, len(names)) if names[j][0] != "I"), len(names)))
        for i, name in enumerate(names)
        if name[0] == "B"
    }


@st.composite
def sentences(draw, scale=4.0, max_words=4):
    labels = draw(st.sampled_from(LABEL_SETS))
    shape = (draw(st.integers(1, max_words)), len(labels))
    return draw(arrays(np.float64, shape, elements=st.floats(-scale, scale))), labels


@given(sentences())
@settings(deadline=None)
def test_decoding_finds_the_most_probable_of_all_valid_sequences(sentence):
    logits, labels = sentence
    best = max(log_probability(tags, logits) for tags in valid_sequences(len(logits), labels))
    found = decode(logits, labels)
    assert is_valid([labels[tag] for tag in found])
    assert log_probability(found, logits) == pytest.approx(best, abs=1e-12)


@given(sentences(scale=1e300, max_words=30))
@settings(deadline=None)
def test_decoding_is_valid_for_any_finite_logits_and_keeps_a_valid_argmax(sentence):
    logits, labels = sentence
    found = decode(logits, labels)
    assert is_valid([labels[tag] for tag in found])
    best = argmax_tags(logits)
    if is_valid([labels[tag] for tag in best]):
        assert found.tolist() == best.tolist()


def test_viterbi_finds_a_valid_argmax_by_itself():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(300):
        logits = rng.normal(size=(4, len(LABELS)))
        best = argmax_tags(logits)
        if is_valid([LABELS[tag] for tag in best]):
            found += 1
            path = viterbi(shifted(logits), Steps(np.array([len(logits)])), lattice_of(LABELS))
            assert path.tolist() == best.tolist()
    assert found > 10


@pytest.mark.parametrize("labels", LABEL_SETS)
@pytest.mark.parametrize("num_words", [1, 2, 3, 4])
def test_a_score_is_the_share_of_the_valid_sequences_that_hold_the_entity(labels, num_words):
    rng = np.random.default_rng(num_words)
    logits = rng.normal(scale=2, size=(num_words, len(labels)))
    words, text = words_of(num_words)
    probability = [
        (spans_of(tags, labels), math.exp(log_probability(tags, logits)), tags)
        for tags in valid_sequences(num_words, labels)
    ]
    total = sum(p for _, p, _ in probability)
    scores = {}
    for spans, _, tags in probability:
        found = entities(tags, logits, labels, words, text)
        assert {(e.label, *e.words) for e in found} == spans
        for entity in found:
            span = (entity.label, *entity.words)
            expected = sum(p for others, p, _ in probability if span in others) / total
            assert entity.score == pytest.approx(expected, rel=1e-12)
            scores[span] = entity.score
    for word in range(num_words):
        over_word = [score for (_, first, stop), score in scores.items() if first <= word < stop]
        assert sum(over_word) <= 1 + 1e-12


def test_the_check_of_scores_tells_a_wrong_recursion(monkeypatch):
    right = decoding.after_sums
    monkeypatch.setattr(decoding, "after_sums", lambda *given: right(*given) * 0.999)
    with pytest.raises(AssertionError):
        test_a_score_is_the_share_of_the_valid_sequences_that_hold_the_entity(LABELS, 3)


@given(sentences(scale=1e4, max_words=40))
@settings(deadline=None)
def test_scores_lie_above_0_and_not_above_1(sentence):
    logits, labels = sentence
    words, text = words_of(len(logits))
    for entity in entities(decode(logits, labels), logits, labels, words, text):
        assert 0 < entity.score <= 1


def test_a_path_that_only_a_later_word_makes_likely_is_not_lost_to_underflow():
    # Word 0 is O by e^1000, word 1 is I-PER by e^3000: B-PER I-PER wins by e^2000.
    logits = np.array([[1000.0, 0, 0, -5000, 0], [0, 0, 3000, 0, 0]])
    words, text = words_of(2)
    tags = decode(logits, LABELS)
    assert [LABELS[tag] for tag in tags] == ["B-PER", "I-PER"]
    assert [e.score for e in entities(tags, logits, LABELS, words, text)] == [1.0]


def test_an_entity_is_the_text_it_points_at():
    text = "Müller  flew to  New\tYork ."
    words = split_words(text)
    tags = np.array([LABELS.index(tag) for tag in ("B-PER", "O", "O", "B-LOC", "I-LOC", "O")])
    logits = np.eye(len(LABELS), dtype=np.float32)[tags] * 9
    found = entities(tags, logits, LABELS, words, text)
    assert [(e.text, e.label, e.start, e.end, e.words) for e in found] == [
        ("Müller", "PER", 0, 6, (0, 1)),
        ("New\tYork", "LOC", 17, 25, (3, 5)),
    ]


def test_a_type_may_hold_hyphens():
    found = entities(np.array([0]), np.zeros((1, 1)), ("B-B-x",), [Word("w", 0, 1)], "w")
    assert [e.label for e in found] == ["B-x"]


def test_neighbours_of_one_type_are_two_entities():
    words, text = words_of(3)
    tags = np.array([LABELS.index(tag) for tag in ("B-PER", "B-PER", "I-PER")])
    found = entities(tags, np.zeros((3, 5)), LABELS, words, text)
    assert [e.words for e in found] == [(0, 1), (1, 3)]


def test_a_sentence_without_words_has_no_tags_and_no_entities():
    logits = np.zeros((0, len(LABELS)))
    assert decode(logits, LABELS).tolist() == argmax_tags(logits).tolist() == []
    assert entities(decode(logits, LABELS), logits, LABELS, [], "") == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(value):
    logits = np.zeros((2, len(LABELS)))
    logits[1, 2] = value
    words, text = words_of(2)
    for refuse in (
        lambda: argmax_tags(logits),
        lambda: decode(logits, LABELS),
        lambda: entities(np.zeros(2, dtype=int), logits, LABELS, words, text),
    ):
        with pytest.raises(ValueError, match="word 1 are not finite"):
            refuse()


def test_arguments_that_do_not_fit_are_refused():
    words, text = words_of(2)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \[num_words, 5\]"):
        decode(np.zeros((2, 3)), LABELS)
    with pytest.raises(ValueError, match="1 tags and 2 rows of logits for 2 words"):
        entities(np.zeros(1, dtype=int), np.zeros((2, 5)), LABELS, words, text)
    with pytest.raises(ValueError, match="not a valid BIO sequence"):
        entities(np.array([0, 2]), np.zeros((2, 5)), LABELS, words, text)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(("O", "LABEL_1"), "'LABEL_1' is not BIO"), (("O", "O"), "one twice"), (("I-A",), "no valid sequence")],
)
def test_labels_that_are_not_bio_are_the_users_to_mend(labels, message):
    with pytest.raises(InputError, match=message):
        decode(np.zeros((1, len(labels))), labels)


def test_decoding_by_viterbi_takes_20_000_words_a_second():
    rng = np.random.default_rng(0)
    num_words = 20
    logits = rng.normal(size=(200, num_words, 9)).astype(np.float32)
    labels = ("O", *(f"{p}-{t}" for t in ("PER", "ORG", "LOC", "MISC") for p in "BI"))
    start = time.perf_counter()
    tags = [decode(sentence, labels) for sentence in logits]
    seconds = time.perf_counter() - start
    assert sum(tag.tolist() != best.tolist() for tag, best in zip(tags, logits.argmax(-1), strict=True)) > 150
    assert len(logits) * num_words / seconds > 20_000
