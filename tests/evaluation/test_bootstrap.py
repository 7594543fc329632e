import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybridner.evaluation import bootstrap
from hybridner.evaluation.bootstrap import (
    entity_counts,
    f1_of_counts,
    interval_of_counts,
    paired_difference,
    resampled,
    resampling_units,
)
from hybridner.evaluation.scoring import score

RIGHT, MISSED = (["B-A", "O"], ["B-A", "O"]), (["B-A", "O"], ["O", "O"])


def f1_interval(gold, predicted, documents=None):
    return interval_of_counts(entity_counts(gold, predicted, resampling_units(len(gold), documents or [0] * len(gold))))


def tags(pairs):
    return [gold for gold, _ in pairs], [predicted for _, predicted in pairs]


def documents_of_one_kind(number, size):
    """Make documents whose entities are all found or all missed."""
    pairs = [RIGHT if document % 2 else MISSED for document in range(number) for _ in range(size)]
    return *tags(pairs), [document for document in range(number) for _ in range(size)]


def test_the_resamples_have_the_distribution_of_drawing_units_one_by_one():
    counts = np.array([[1, 2, 3], [0, 1, 1], [0, 1, 1], [4, 4, 4]])
    drawn = resampled(counts, 40_000, 0)
    every = [tuple(counts[list(draw)].sum(0)) for draw in itertools.product(range(4), repeat=4)]
    for sums in set(every):
        expected = every.count(sums) / len(every)
        found = (drawn == sums).all(1).mean()
        assert abs(found - expected) < 5 * np.sqrt(expected / 40_000)
    assert {tuple(row) for row in drawn} <= set(every)


def test_the_interval_covers_the_true_score_in_about_95_of_100_samples():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        # Easy and hard documents: recall 0.9 or 0.6 of 10 entities, as many predicted; F1 0.75.
        correct = rng.binomial(10, rng.choice([0.9, 0.6], size=60))
        low, high = interval_of_counts(np.stack([correct, np.full(60, 10), np.full(60, 10)], 1), resamples=400)
        covered += low <= 0.75 <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_one_a_near_one():
    gold = np.random.default_rng(0).integers(1, 99, 60)
    counts = np.stack([gold // 2, gold - gold // 9, gold], 1)
    one = interval_of_counts(counts)
    assert interval_of_counts(counts, seed=0) == one
    other = interval_of_counts(counts, seed=1)
    assert other != one
    assert other == pytest.approx(one, abs=0.003)


def test_documents_are_drawn_whole_so_their_interval_is_the_wider_one():
    gold, predicted, documents = documents_of_one_kind(40, 25)
    f1 = score(gold, predicted).f1
    low, high = f1_interval(gold, predicted, documents)
    narrow_low, narrow_high = f1_interval(gold, predicted)
    assert low < narrow_low < f1 < narrow_high < high
    assert (high - low) / (narrow_high - narrow_low) == pytest.approx(5, rel=0.15)  # the root of 25


@pytest.mark.parametrize(("number", "kind", "count"), [(9, "sentences", 36), (10, "documents", 10)])
def test_sentences_are_drawn_where_there_are_fewer_than_ten_documents(number, kind, count):
    documents = [100 + document for document in range(number) for _ in range(4)]
    units = resampling_units(len(documents), documents)
    assert (units.kind, units.count) == (kind, count)
    assert f"{count} {kind}" in str(units)
    assert units.to_dict()["unit"] == kind


def test_counts_over_other_units_are_refused():
    with pytest.raises(ValueError, match="longer"):
        entity_counts([["O"]] * 11, [["O"]] * 11, resampling_units(11, range(10)))
    with pytest.raises(ValueError, match="size 1 and the array at index 1 has size 2"):
        paired_difference(np.zeros((1, 3), int), np.zeros((2, 3), int))


def test_nothing_has_the_interval_0_to_0():
    assert f1_interval([], []) == f1_interval([["O"]], [["O"]]) == (0.0, 0.0)


def test_the_counts_of_all_units_are_those_of_the_score():
    gold = [["B-A", "I-A", "O"], ["I-B", "O", "B-A"], ["O", "O", "O"]] * 5
    predicted = [["B-A", "I-A", "B-B"], ["B-B", "O", "B-B"], ["I-A", "I-B", "O"]] * 5
    for documents in ([0] * 15, [i // 2 for i in range(15)], list(range(15))):
        counts = entity_counts(gold, predicted, resampling_units(15, documents)).sum(0)
        scores = score(gold, predicted)
        assert counts.tolist() == [scores.correct, scores.predicted, scores.gold]
        assert f1_of_counts(counts[None])[0] == pytest.approx(scores.f1, abs=1e-15)


def test_many_units_are_drawn_in_parts_with_the_same_result(monkeypatch):
    counts = np.random.default_rng(0).integers(0, 9, (50, 3))
    whole = resampled(counts, 101, 7)
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 170)
    assert np.array_equal(resampled(counts, 101, 7), whole)


COUNTS = st.integers(1, 12).flatmap(lambda n: arrays(np.int64, (n, 6), elements=st.integers(0, 6)))


@settings(deadline=None)
@given(COUNTS)
def test_a_against_b_is_b_against_a_with_the_other_sign(counts):
    a, b = counts[:, :3], counts[:, 3:]
    one, other = paired_difference(a, b, 200), paired_difference(b, a, 200)
    assert one.difference == pytest.approx(-other.difference)
    # The order of rows changes the draws; a model never differs from itself.
    same = paired_difference(a, a, 200)
    assert (same.difference, same.interval, same.share_a_not_better) == (0.0, (0.0, 0.0), 1.0)


def test_the_better_one_of_every_unit_is_better_in_every_resample():
    better, worse = np.tile([3, 3, 3], (20, 1)), np.tile([1, 3, 3], (20, 1))
    found = paired_difference(better, worse)
    assert found.difference == pytest.approx(2 / 3)
    assert found.interval == pytest.approx((2 / 3, 2 / 3))
    assert found.share_a_not_better == 0.0
    assert paired_difference(worse, better).share_a_not_better == 1.0


def test_the_paired_interval_is_that_of_resamples_drawn_one_by_one():
    rng = np.random.default_rng(3)
    gold = rng.integers(1, 8, 60)
    a, b = (np.stack([rng.binomial(gold, p), gold, gold], 1) for p in (0.8, 0.75))
    found = paired_difference(a, b, 20_000)
    draws = rng.integers(0, 60, (20_000, 60))
    differences = f1_of_counts(a[draws].sum(1)) - f1_of_counts(b[draws].sum(1))
    assert found.interval == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.004)
    assert found.share_a_not_better == pytest.approx((differences <= 0).mean(), abs=0.02)
    assert 0 < found.share_a_not_better < 0.5
