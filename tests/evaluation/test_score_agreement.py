"""Our counts agree with seqeval's scores, in every scheme, and with conlleval's rules."""

import random
from functools import cache

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as default_scores
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES

from hybridner.corpora.schemes import SchemeDetector, entity_spans, to_bio
from hybridner.evaluation import scoring
from hybridner.evaluation.scoring import score

SEQUENCES = 2000
TYPES = ("PER", "LOC", "B-x")
STRICT = {"IOB1": IOB1, "BIO": IOB2, "BIOES": IOBES, "BILOU": BILOU}
SCHEMES = (*STRICT, "IO")
PREFIXES = {"IOB1": "BI", "BIO": "BI", "BIOES": "BIES", "BILOU": "BILU", "IO": "I"}


@pytest.fixture(autouse=True)
def _seqeval_is_only_the_oracle(monkeypatch):
    """Hide seqeval from the scorer."""
    monkeypatch.setattr(scoring, "find_spec", lambda name: None)


def random_entities(rng, length):
    entities, at = [], 0
    while at < length:
        size = rng.randint(1, 3)
        if rng.random() < 0.5 and at + size <= length:
            entities.append((rng.choice(TYPES), at, at + size))
        at += size
    return entities


def changed(rng, entities):
    """Lose some entities, change the type of some, and shorten some by one word."""
    result = []
    for kind, start, stop in entities:
        fate = rng.random()
        if fate < 0.15:
            continue
        if fate < 0.3:
            kind = rng.choice(TYPES)
        elif fate < 0.45:
            stop = max(start + 1, stop - 1)
        result.append((kind, start, stop))
    return result


def written(entities, length, scheme):
    tags = ["O"] * length
    for kind, start, stop in entities:
        begin, inside, last, single = {
            "IOB1": "IIII", "BIO": "BIIB", "BIOES": "BIES", "BILOU": "BILU", "IO": "IIII",
        }[scheme]  # fmt: skip
        if scheme == "IOB1" and start and tags[start - 1][2:] == kind:
            begin = single = "B"
        prefixes = single if stop - start == 1 else begin + inside * (stop - start - 2) + last
        tags[start:stop] = [f"{prefix}-{kind}" for prefix in prefixes]
    return tags


@cache
def valid_pair(scheme):
    rng = random.Random(scheme)
    gold, predicted = [], []
    for _ in range(SEQUENCES):
        length = rng.randint(1, 12)
        entities = random_entities(rng, length)
        gold.append(written(entities, length, scheme))
        predicted.append(written(changed(rng, entities), length, scheme))
    return gold, predicted


@cache
def any_pair(scheme):
    rng = random.Random(scheme)
    tags = ["O", "O", *(f"{prefix}-{kind}" for prefix in PREFIXES[scheme] for kind in TYPES)]
    lengths = [rng.randint(0, 12) for _ in range(SEQUENCES)]
    return tuple([rng.choices(tags, k=length) for length in lengths] for _ in range(2))


def in_bio(sequences, scheme):
    return [list(to_bio(tags, scheme)[0]) for tags in sequences]


def assert_same(scores, micro, by_type):
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx(micro[:3], abs=1e-12)
    assert sorted(scores.by_type) == sorted(TYPES)
    for i, name in enumerate(sorted(TYPES)):
        one = scores.by_type[name]
        assert (one.precision, one.recall, one.f1) == pytest.approx([column[i] for column in by_type[:3]], abs=1e-12)
        assert one.gold == by_type[3][i]


@pytest.mark.parametrize("scheme", STRICT)
def test_valid_tags_score_after_conversion_as_seqeval_scores_them_strictly_in_their_own_scheme(scheme):
    gold, predicted = valid_pair(scheme)
    detector = SchemeDetector()
    for tags in gold:
        detector.add(tags, "")
    assert detector.scheme() == scheme
    scores = score(in_bio(gold, scheme), in_bio(predicted, scheme))
    micro, by_type = (strict_scores(gold, predicted, average=a, scheme=STRICT[scheme]) for a in ("micro", None))
    assert_same(scores, micro, by_type)
    assert scores.strict_f1 == pytest.approx(micro[2], abs=1e-12)
    assert scores.invalid_transitions == sum(to_bio(tags, scheme)[1] for tags in (*gold, *predicted)) == 0
    assert 0.4 < scores.f1 < 0.9


@pytest.mark.parametrize("pair", [valid_pair, any_pair])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_tags_score_after_conversion_as_seqeval_scores_them_by_default(scheme, pair):
    gold, predicted = (in_bio(sequences, scheme) for sequences in pair(scheme))
    scores = score(gold, predicted)
    micro, by_type = (default_scores(gold, predicted, average=average) for average in ("micro", None))
    assert_same(scores, micro, by_type)
    assert scores.gold > SEQUENCES


@pytest.mark.parametrize("tags", [any_pair("BIO")[0], any_pair("BIO")[1], *map(tuple, valid_pair("BIO"))])
def test_the_entities_of_any_tags_are_those_of_seqeval_one_by_one(tags):
    assert [entity_spans(one) for one in tags] == [[(k, a, b + 1) for k, a, b in get_entities(one)] for one in tags]


def test_any_tags_score_strictly_as_seqeval_scores_them_in_strict_mode():
    gold, predicted = any_pair("BIO")
    scores = score(gold, predicted)
    assert scores.strict_f1 == pytest.approx(strict_scores(gold, predicted, average="micro", scheme=IOB2)[2], abs=1e-12)
    assert scores.strict_f1 != scores.f1


def conlleval(gold, predicted):
    """Count (correct, predicted, gold) chunks by type, word by word as the shared task's script does."""
    counts = {kind: [0, 0, 0] for kind in TYPES}
    for sentence in zip(gold, predicted, strict=True):
        before = ("O", "O")
        both_open = None
        for now in [*zip(*sentence, strict=True), ("O", "O")]:
            split = [(a.partition("-"), b.partition("-")) for a, b in zip(before, now, strict=True)]
            ends = [a[0] != "O" and (b[0] in "BO" or a[2] != b[2]) for a, b in split]
            starts = [b[0] == "B" or (b[0] == "I" and (a[0] == "O" or a[2] != b[2])) for a, b in split]
            kinds = [b[2] for _, b in split]
            if both_open is not None and (ends[0] or ends[1]):
                counts[both_open][0] += ends[0] and ends[1]
                both_open = None
            if starts[0] and starts[1] and kinds[0] == kinds[1]:
                both_open = kinds[0]
            for side, column in ((1, 1), (0, 2)):
                if starts[side]:
                    counts[kinds[side]][column] += 1
            before = now
    return {kind: tuple(row) for kind, row in counts.items()}


@pytest.mark.parametrize("pair", [valid_pair, any_pair])
@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "IO"])
def test_the_counts_are_those_of_conlleval_on_any_tags(scheme, pair):
    gold, predicted = pair(scheme)
    by_type = score(gold, predicted).by_type
    assert {kind: (one.correct, one.predicted, one.gold) for kind, one in by_type.items()} == conlleval(gold, predicted)


@pytest.mark.parametrize("tag", ["o", "LABEL_0", "E-PER", "B-", "B", ""])
def test_a_tag_that_only_seqeval_would_count_as_an_entity_is_refused(tag):
    for pair in (([["O", tag]], [["O", "O"]]), ([["O", "O"]], [["O", tag]])):
        with pytest.raises(ValueError, match="expected O, B-TYPE or I-TYPE"):
            score(*pair)


def test_tags_in_numpy_arrays_score_as_in_lists():
    gold, predicted = (sequences[:50] for sequences in any_pair("BIO"))
    assert score([np.array(tags, object) for tags in gold], [np.array(tags) for tags in predicted]) == score(
        gold, predicted
    )
