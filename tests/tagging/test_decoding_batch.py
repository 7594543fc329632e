import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.schemes import entity_spans
from hybridner.tagging.decoding import argmax_tags, decode, decode_many, scored_spans, scored_spans_many

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SHUFFLED = ("I-LOC", "B-PER", "O", "I-PER", "B-LOC")


@given(
    st.lists(st.integers(0, 12), max_size=12),
    st.sampled_from([LABELS, SHUFFLED, ("O",)]),
    st.sampled_from([1.0, 30.0, 1e4]),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=200)
def test_many_sentences_are_decoded_and_scored_as_each_by_itself(lengths, labels, scale, seed):
    rng = np.random.default_rng(seed)
    logits = [rng.normal(scale=scale, size=(length, len(labels))) for length in lengths]
    tags = decode_many(logits, labels)
    assert [one.tolist() for one in tags] == [decode(one, labels).tolist() for one in logits]
    found = scored_spans_many(tags, logits, labels)
    for spans, expected in zip(found, map(scored_spans, tags, logits, [labels] * len(logits)), strict=True):
        assert [span for span, _ in spans] == [span for span, _ in expected]
        assert [score for _, score in spans] == pytest.approx([score for _, score in expected], rel=1e-9)


def test_equal_logits_are_decoded_alike_together_and_alone():
    logits = [np.zeros((length, len(LABELS))) for length in (3, 1, 4)]
    logits[2][1, LABELS.index("I-PER")] = 1
    assert [one.tolist() for one in decode_many(logits, LABELS)] == [decode(one, LABELS).tolist() for one in logits]


def test_an_invalid_sequence_is_read_as_conlleval_reads_it_and_scored_as_that():
    logits = [np.random.default_rng(3).normal(size=(6, len(LABELS)))]
    tags = [np.array([LABELS.index(tag) for tag in ("I-PER", "I-PER", "I-LOC", "O", "B-LOC", "I-PER")])]
    mended = np.array([LABELS.index(tag) for tag in ("B-PER", "I-PER", "B-LOC", "O", "B-LOC", "B-PER")])
    (found,) = scored_spans_many(tags, logits, LABELS)
    assert [span for span, _ in found] == entity_spans([LABELS[tag] for tag in tags[0]])
    assert found == [(span, pytest.approx(score)) for span, score in scored_spans(mended, logits[0], LABELS)]


def test_the_argmax_is_kept_wherever_it_is_valid():
    rng = np.random.default_rng(5)
    logits = [rng.normal(size=(length, len(LABELS))) for length in (4, 2, 7)]
    for one in logits:
        one[:, 0] += 9
    assert [one.tolist() for one in decode_many(logits, LABELS)] == [argmax_tags(one).tolist() for one in logits]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="word 3 are not finite"):
        decode_many([np.zeros((2, 5)), np.full((2, 5), [[0.0], [np.nan]])], LABELS)
    with pytest.raises(ValueError, match="not as many tags as rows of logits"):
        scored_spans_many([np.array([1])], [np.zeros((2, 5))], LABELS)
