import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.data.packing import Packing, Shape, ShapePlan, pack, row_lengths

LONGEST = 1024


@st.composite
def lengths_and_row(draw):
    row = draw(st.integers(3, 200))
    return draw(st.lists(st.integers(1, row), min_size=1, max_size=80)), row


@st.composite
def corpora(draw):
    """Lengths of a corpus with its share of long sentences, and a batch size."""
    usual = draw(st.integers(3, 200))
    lengths = draw(st.lists(st.integers(3, usual), min_size=1, max_size=60))
    lengths += draw(st.lists(st.integers(3, LONGEST), max_size=3))
    return np.asarray(lengths), draw(st.integers(1, 64)), draw(st.sampled_from([1, 2, 8]))


def occupied(packing: Packing, lengths, shape: Shape):
    """How many sequences hold each position of the batch."""
    count = np.zeros(shape, int)
    for row, start, length in zip(packing.rows, packing.starts, lengths, strict=True):
        assert start >= 0
        assert start + length <= shape.length
        count[row, start : start + length] += 1
    return count


@settings(deadline=None)
@given(lengths_and_row())
def test_each_sequence_has_a_place_of_its_own_within_a_row(given):
    lengths, row = given
    packing = pack(lengths, row)
    count = occupied(packing, lengths, Shape(packing.num_rows, row))
    assert count.max() == 1
    assert count.sum() == sum(lengths)
    assert count.any(axis=1).all()  # no row stays empty


@settings(deadline=None)
@given(lengths_and_row())
def test_rows_are_few_and_filled_from_the_left(given):
    lengths, row = given
    packing = pack(lengths, row)
    count = occupied(packing, lengths, Shape(packing.num_rows, row))
    assert (np.diff(count, axis=1) <= 0).all()
    used = np.sort(count.sum(axis=1))
    assert len(used) == 1 or used[0] + used[1] > row  # no two rows would go into one


def test_packing_is_a_function_of_the_lengths():
    lengths = [7, 3, 3, 9, 1, 7, 5, 2]
    packing = pack(lengths, 10)
    assert packing.num_rows == 4
    assert packing.rows.tolist() == pack(np.asarray(lengths), 10).rows.tolist()
    assert packing.starts.tolist() == pack(np.asarray(lengths), 10).starts.tolist()


def test_row_lengths_double_until_the_longest_fits():
    assert row_lengths(1, 16) == [16]
    assert row_lengths(16, 16) == [16]
    assert row_lengths(17, 16) == [16, 32]
    assert row_lengths(164, 16) == [16, 32, 64, 128, 256]


@settings(deadline=None, max_examples=30)
@given(corpora(), st.data())
def test_at_most_eight_shapes_are_planned_and_every_batch_gets_one_that_holds_it(corpus, data):
    lengths, batch_size, row_multiple = corpus
    plan = ShapePlan(lengths, batch_size, row_multiple)
    assert 1 <= len(plan.shapes) <= 8
    assert plan.shapes == ShapePlan(lengths, batch_size, row_multiple).shapes
    assert all(rows % row_multiple == 0 for rows, _ in plan.shapes)
    assert max(length for _, length in plan.shapes) >= lengths.max()
    drawn = data.draw(st.lists(st.sampled_from(lengths.tolist()), min_size=1, max_size=batch_size))
    shape, packing = plan.fit(np.asarray(drawn))
    count = occupied(packing, drawn, shape)
    assert packing.num_rows <= shape.rows
    assert shape.rows % row_multiple == 0
    assert count.max() == 1
    assert count.sum() == sum(drawn)


def test_a_batch_longer_than_the_corpus_the_plan_is_made_from_is_held_too():
    plan = ShapePlan(np.full(50, 10), 8)
    shape, packing = plan.fit(np.array([10, 900]))
    assert occupied(packing, [10, 900], shape).max() == 1


def like_conll2003(num_sentences):
    """Lengths in pieces with the quantiles of CoNLL-2003's train split."""
    shares, lengths = (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1), (3, 15, 40, 56, 71, 100, 164)
    drawn = np.random.Generator(np.random.Philox(2003)).random(num_sentences)
    return np.round(np.interp(drawn, shares, lengths)).astype(int)


def test_nine_tenths_of_what_is_computed_is_real_on_lengths_like_conll2003():
    lengths, batch_size = like_conll2003(14_000), 64
    assert lengths.mean() == pytest.approx(20, abs=1)
    plan = ShapePlan(lengths, batch_size)
    order = np.random.Generator(np.random.Philox(1)).permutation(len(lengths))
    area = unplanned = 0
    for first in range(0, len(lengths), batch_size):
        shape, _ = plan.fit(lengths[order[first : first + batch_size]])
        area += shape.rows * shape.length
        unplanned += shape not in plan.shapes
    assert lengths.sum() >= 0.9 * area
    assert unplanned <= 1
