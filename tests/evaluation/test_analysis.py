import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.schemes import entity_spans
from hybridner.evaluation.analysis import (
    BOTH,
    BOUNDARY,
    CORRECT,
    KINDS,
    MISSED,
    MISTAKES,
    SPURIOUS,
    TYPE,
    Mention,
    Share,
    align,
    analyse,
    mentions,
)
from hybridner.evaluation.scoring import score

TAG = st.sampled_from(["O", "O", "B-A", "I-A", "B-B", "I-B", "B-C"])
SENTENCES = st.lists(st.lists(st.tuples(st.sampled_from("uvw"), TAG, TAG), max_size=9), max_size=6)


def taken_apart(rows):
    sentences = [Sentence(tuple(w for w, _, _ in row), tuple(g for _, g, _ in row), 0, i) for i, row in enumerate(rows)]
    return sentences, [[p for _, _, p in row] for row in rows]


def sentence(text, tags, line=1):
    return Sentence(tuple(text.split()), tuple(tags.split()), 0, line)


@pytest.mark.parametrize(
    ("gold", "predicted", "pairs"),
    [
        ([("A", 0, 2)], [("A", 0, 2)], [(CORRECT, 0, 0)]),
        ([("A", 0, 2)], [("B", 0, 2)], [(TYPE, 0, 0)]),
        ([("A", 0, 2)], [("A", 1, 3)], [(BOUNDARY, 0, 0)]),
        ([("A", 0, 2)], [("B", 1, 3)], [(BOTH, 0, 0)]),
        ([("A", 0, 2)], [("A", 2, 3)], [(MISSED, 0, None), (SPURIOUS, None, 0)]),
        ([("A", 0, 2)], [], [(MISSED, 0, None)]),
        ([], [("A", 0, 2)], [(SPURIOUS, None, 0)]),
        # One entity split in two: the larger overlap forms a pair, the other part is spurious.
        ([("A", 0, 3)], [("A", 0, 1), ("A", 1, 3)], [(SPURIOUS, None, 0), (BOUNDARY, 0, 1)]),
        # Of two equal overlaps, the left one forms the pair.
        ([("A", 0, 2)], [("A", 0, 1), ("A", 1, 2)], [(BOUNDARY, 0, 0), (SPURIOUS, None, 1)]),
        # The same type takes priority over a larger overlap, the same words over both.
        ([("A", 0, 3)], [("A", 0, 1), ("B", 1, 3)], [(BOUNDARY, 0, 0), (SPURIOUS, None, 1)]),
        ([("A", 0, 1), ("A", 1, 4)], [("B", 0, 1), ("B", 1, 2), ("A", 2, 4)],
         [(TYPE, 0, 0), (SPURIOUS, None, 1), (BOUNDARY, 1, 2)]),
    ],
)  # fmt: skip
def test_entities_are_paired_by_words_then_by_type_then_by_overlap(gold, predicted, pairs):
    found = [(pair.kind, pair.gold, pair.predicted) for pair in align(gold, predicted)]
    expected = [(kind, None if i is None else gold[i], None if j is None else predicted[j]) for kind, i, j in pairs]
    assert sorted(found, key=str) == sorted(expected, key=str)


@settings(deadline=None)
@given(SENTENCES)
def test_each_gold_and_each_predicted_entity_is_in_exactly_one_pair(rows):
    sentences, predicted = taken_apart(rows)
    for one, tags in zip(sentences, predicted, strict=True):
        gold, found = entity_spans(one.tags), entity_spans(tags)
        pairs = align(gold, found)
        assert sorted(pair.gold for pair in pairs if pair.gold) == sorted(gold)
        assert sorted(pair.predicted for pair in pairs if pair.predicted) == sorted(found)
        for pair in pairs:
            same_type = pair.gold and pair.predicted and pair.gold[0] == pair.predicted[0]
            same_words = pair.gold and pair.predicted and pair.gold[1:] == pair.predicted[1:]
            if pair.gold and pair.predicted:
                assert max(pair.gold[1], pair.predicted[1]) < min(pair.gold[2], pair.predicted[2])
                expected = {(1, 1): CORRECT, (1, 0): TYPE, (0, 1): BOUNDARY, (0, 0): BOTH}[same_words, same_type]
                assert pair.kind == expected
            else:
                assert pair.kind == (MISSED if pair.gold else SPURIOUS)


@settings(deadline=None)
@given(SENTENCES, st.sets(st.tuples(st.sampled_from("uvw"), st.sampled_from("AB"))))
def test_all_totals_add_up_to_the_counts_of_the_score(rows, train):
    sentences, predicted = taken_apart(rows)
    scores = score([one.tags for one in sentences], predicted)
    found = analyse(sentences, predicted, {Mention(*one) for one in train})
    kinds = found.kinds
    assert kinds[CORRECT] == scores.correct
    assert sum(count for kind, count in kinds.items() if kind != SPURIOUS) == scores.gold
    assert sum(count for kind, count in kinds.items() if kind != MISSED) == scores.predicted

    confusion = found.confusion
    assert confusion.types == sorted(scores.by_type)
    for i, name in enumerate(confusion.types):
        one = scores.by_type[name]
        assert confusion.same_words[i][i] == one.correct
        assert sum(confusion.same_words[i]) + confusion.missed[i] == one.gold
        assert sum(row[i] for row in confusion.same_words) + confusion.spurious[i] == one.predicted
    off_diagonal = sum(map(sum, confusion.same_words)) - scores.correct
    assert off_diagonal == kinds[TYPE]
    boundaries = kinds[BOUNDARY] + kinds[BOTH]
    assert sum(confusion.missed) == kinds[MISSED] + boundaries
    assert sum(confusion.spurious) == kinds[SPURIOUS] + boundaries

    seen = found.seen
    assert seen["gold_seen"].total + seen["gold_unseen"].total == scores.gold
    assert seen["predicted_seen"].total + seen["predicted_unseen"].total == scores.predicted
    assert seen["gold_seen"].correct + seen["gold_unseen"].correct == scores.correct
    # A correct entity is the same mention in the data and in the prediction.
    assert seen["gold_seen"].correct == seen["predicted_seen"].correct

    mistakes = sum(kinds.values()) - kinds[CORRECT]
    if found.num_different <= MISTAKES:
        assert sum(mistake.count for mistake in found.mistakes) == mistakes
        assert Counter(m.kind for m in found.mistakes for _ in range(m.count)) == +Counter({**kinds, CORRECT: 0})
    counts = [mistake.count for mistake in found.mistakes]
    assert counts == sorted(counts, reverse=True)
    assert json.loads(json.dumps(found.to_dict()))["errors"] == kinds
    assert tuple(kinds) == KINDS


def test_a_perfect_prediction_has_no_mistake():
    one = sentence("Anna met Bo", "B-A O B-B")
    found = analyse([one], [one.tags], frozenset())
    assert (found.mistakes, found.num_different) == ([], 0)
    assert found.confusion.same_words == [[1, 0], [0, 1]]


def test_equal_mistakes_are_counted_together_with_the_first_as_the_example():
    sentences = [
        sentence("in Rome now", "O B-LOC O", 1),
        sentence("Bank of Rome", "B-ORG I-ORG I-ORG", 5),
        sentence("Rome won", "B-LOC O", 9),
        sentence("see Rome", "O B-LOC", 12),
    ]
    predicted = [["O", "B-ORG", "O"], ["O", "O", "B-ORG"], ["B-ORG", "O"], ["O", "O"]]
    first, *others = analyse(sentences, predicted).mistakes
    assert (first.kind, first.gold, first.predicted, first.count) == (
        TYPE,
        Mention("Rome", "LOC"),
        Mention("Rome", "ORG"),
        2,
    )
    assert (first.example.words, first.example.start, first.example.stop) == (["in", "Rome", "now"], 1, 2)
    assert [(m.kind, m.gold, m.predicted, m.example.line) for m in others] == [
        (BOUNDARY, Mention("Bank of Rome", "ORG"), Mention("Rome", "ORG"), 5),
        (MISSED, Mention("Rome", "LOC"), None, 12),
    ]


def test_seen_means_the_same_words_case_kept_and_the_same_type():
    train = mentions([sentence("New York , rome , Bonn", "B-LOC I-LOC O B-LOC O B-ORG")])
    assert train == {Mention("New York", "LOC"), Mention("rome", "LOC"), Mention("Bonn", "ORG")}
    test = [sentence("New York Rome Bonn York", "B-LOC I-LOC B-LOC B-LOC B-LOC")]
    found = analyse(test, [["B-LOC", "I-LOC", "B-LOC", "B-ORG", "O"]], train)
    assert (found.seen["gold_seen"], found.seen["gold_unseen"]) == (Share(1, 1), Share(1, 3))
    assert (found.seen["predicted_seen"], found.seen["predicted_unseen"]) == (Share(1, 2), Share(1, 1))
    assert found.to_dict()["seen"]["gold_unseen"] == {"correct": 1, "gold": 3, "recall": 1 / 3}
    assert analyse(test, [["O"] * 5], train).to_dict()["seen"]["predicted_seen"]["precision"] is None


def test_without_train_data_there_are_no_scores_of_seen_entities():
    one = sentence("Anna", "B-A")
    assert analyse([one], [["O"]]).seen is None
    assert analyse([one], [["O"]]).to_dict()["seen"] is None
    with pytest.raises(ValueError, match="shorter"):
        analyse([one, one], [["O"]])
