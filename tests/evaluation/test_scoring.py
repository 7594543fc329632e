import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2

from hybridner.corpora.schemes import to_bio
from hybridner.evaluation import scoring
from hybridner.evaluation.scoring import score

GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"]]
PREDICTED = [["B-PER", "I-PER", "O", "I-LOC"], ["B-ORG", "I-ORG"]]
TAG = st.sampled_from(["O", "B-A", "I-A", "B-B-C", "I-B-C"])
PAIRS = st.lists(st.lists(st.tuples(TAG, TAG), max_size=8), max_size=5)


def random_tags(seed, sentences=40):
    rng = random.Random(seed)
    return [rng.choices(["O", "O", "B-A", "I-A", "B-B", "I-B"], k=n % 9) for n in range(sentences)]


def test_an_entity_is_right_if_its_words_and_type_are():
    scores = score(GOLD, PREDICTED)
    assert (scores.correct, scores.predicted, scores.gold) == (2, 3, 3)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (scores.sentences, scores.words) == (2, 6)
    assert scores.token_accuracy == pytest.approx(3 / 6)


def test_the_strict_score_takes_no_entity_that_starts_with_inside():
    scores = score([["B-A"], ["B-A"]], [["B-A"], ["I-A"]])
    assert (scores.f1, scores.strict_f1, scores.invalid_transitions) == (1.0, pytest.approx(2 / 3), 1)


def test_each_type_has_its_own_scores_and_counts():
    by_type = score(GOLD, PREDICTED).by_type
    assert {name: (s.correct, s.predicted, s.gold) for name, s in by_type.items()} == {
        "LOC": (1, 1, 1),
        "ORG": (0, 1, 1),
        "PER": (1, 1, 1),
    }
    assert (by_type["PER"].f1, by_type["ORG"].f1) == (1.0, 0.0)


def test_invalid_transitions_are_those_of_the_prediction():
    assert score([["I-A", "I-A"]], [["O", "O"]]).invalid_transitions == 0
    assert score([["O", "O", "O"]], [["I-A", "I-A", "I-B"]]).invalid_transitions == 2


@pytest.mark.parametrize("seed", range(20))
def test_the_counts_agree_with_the_scores_of_seqeval_on_any_tags(seed):
    scores = score(random_tags(seed), random_tags(seed + 100))
    for one in (scores, *scores.by_type.values()):
        precision = one.correct / one.predicted
        recall = one.correct / one.gold
        f1 = 2 * precision * recall / (precision + recall) if one.correct else 0.0
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision, recall, f1), abs=1e-12)
    for count in ("correct", "predicted", "gold"):
        assert getattr(scores, count) == sum(getattr(one, count) for one in scores.by_type.values())


@settings(deadline=None)
@given(pairs=PAIRS)
def test_any_tags_score_as_seqeval_scores_them(pairs):
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    scores = score(gold, predicted)
    one_by_one = [(set(get_entities(a)), set(get_entities(b))) for a, b in zip(gold, predicted, strict=True)]
    assert scores.gold == sum(len(a) for a, _ in one_by_one)
    assert scores.predicted == sum(len(b) for _, b in one_by_one)
    assert scores.correct == sum(len(a & b) for a, b in one_by_one)
    if scores.gold or scores.predicted:
        assert scores.f1 == pytest.approx(f1_score(gold, predicted, zero_division=0), abs=1e-12)
        strict = f1_score(gold, predicted, mode="strict", scheme=IOB2, zero_division=0)
        assert scores.strict_f1 == pytest.approx(strict, abs=1e-12)
    words = sum(map(len, gold))
    assert scores.token_accuracy * words == pytest.approx(sum(a == b for one in pairs for a, b in one))
    valid = [to_bio(tags, "BIO")[0] for tags in gold], [to_bio(tags, "BIO")[0] for tags in predicted]
    assert score(*valid).strict_f1 == pytest.approx(scores.f1, abs=1e-12)
    assert score(*valid).invalid_transitions == 0


@pytest.mark.parametrize(
    ("gold", "predicted", "counts"),
    [
        ([["O"]], [["B-A"]], (0, 1, 0)),
        ([["B-A"]], [["O"]], (0, 0, 1)),
        ([["O"]], [["O"]], (0, 0, 0)),
        ([["I-A"]], [["I-B"]], (0, 1, 1)),
        ([[]], [[]], (0, 0, 0)),
        ([], [], (0, 0, 0)),
    ],
)
def test_a_score_with_nothing_to_divide_by_is_zero_without_a_warning(gold, predicted, counts):
    scores = score(gold, predicted)
    assert (scores.correct, scores.predicted, scores.gold) == counts
    assert (scores.precision, scores.recall, scores.f1, scores.strict_f1) == (0, 0, 0, 0)


def test_a_type_the_model_does_not_know_is_a_counted_miss():
    scores = score([["B-NEW", "B-A"]], [["O", "B-A"]])
    assert scores.recall == 0.5
    assert scores.by_type["NEW"].gold == 1


@pytest.mark.parametrize(
    ("gold", "predicted", "words"),
    [
        ([["O"]], [], "1 sentences of gold tags and 0 predicted"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 1: 2 gold tags and 1 predicted"),
    ],
)
def test_tags_that_do_not_match_in_number_are_refused(gold, predicted, words):
    with pytest.raises(ValueError, match=words):
        score(gold, predicted)


def test_the_dict_is_plain_json_and_names_the_scorers():
    record = score(GOLD, PREDICTED).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["scorer"] == "micro average as conlleval counts (seqeval, default mode)"
    assert "strict mode, IOB2" in record["strict_scorer"]
    assert record["by_type"]["LOC"]["gold"] == 1


@pytest.mark.parametrize("seed", range(20))
def test_without_seqeval_the_scores_are_the_same_to_the_last_bit_and_do_not_name_it(seed, monkeypatch):
    pair = random_tags(seed), random_tags(seed + 100)
    with_seqeval = score(*pair).to_dict()
    monkeypatch.setattr(scoring, "find_spec", lambda name: None)
    names = {
        "scorer": "micro average as conlleval counts",
        "strict_scorer": "micro average of valid BIO entities only",
    }
    assert score(*pair).to_dict() == {**with_seqeval, **names}


def test_the_table_is_aligned_however_long_a_type_is():
    scores = score([["B-a-type-with-a-long-name", "B-A"]], [["B-a-type-with-a-long-name", "O"]])
    header, *rows = scores.as_table().text().splitlines()
    assert [row.split()[0] for row in rows] == ["A", "a-type-with-a-long-name", "micro"]
    assert {len(row) for row in rows} == {len(header)}
    assert scores.summary() == "token accuracy 0.5000, 2 words in 1 sentences"
