import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.batches.batch import epoch_order
from hybridner.batches.encoding import encode
from hybridner.batches.packing import Packing, Shape, ShapePlan, pack, row_lengths
from hybridner.corpora.read import read_corpus
from hybridner.text.tokenizer import load_tokenizer, train_tokenizer

LONGEST = 1024


@st.composite
def lengths_and_row(draw):
    row = draw(st.integers(3, 200))
    return draw(st.lists(st.integers(1, row), min_size=1, max_size=80)), row


@st.composite
def corpora(draw):
    """Draw the lengths of a corpus with some long sentences, and a batch size."""
    usual = draw(st.integers(3, 200))
    lengths = draw(st.lists(st.integers(3, usual), min_size=1, max_size=60))
    lengths += draw(st.lists(st.integers(3, LONGEST), max_size=3))
    return np.asarray(lengths), draw(st.integers(1, 64)), draw(st.sampled_from([1, 2, 8]))


def occupied(packing: Packing, lengths, shape: Shape):
    """Count the sequences at each position of the batch."""
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
    assert count.any(axis=1).all()  # no row is empty


@settings(deadline=None)
@given(lengths_and_row())
def test_rows_are_few_and_filled_from_the_left(given):
    lengths, row = given
    packing = pack(lengths, row)
    count = occupied(packing, lengths, Shape(packing.num_rows, row))
    assert (np.diff(count, axis=1) <= 0).all()
    used = np.sort(count.sum(axis=1))
    assert len(used) == 1 or used[0] + used[1] > row  # no two rows fit into one


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


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
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


def test_a_batch_gets_the_cheapest_shape_that_holds_it():
    lengths = like_conll2003(2_000)
    plan = ShapePlan(lengths, 64)
    for number in range(20):
        drawn = np.random.Generator(np.random.Philox(number)).choice(lengths, 64)
        shape, _ = plan.fit(drawn)
        cheaper = [other for other in plan.shapes if other.cost < shape.cost and other.length >= drawn.max()]
        assert all(pack(drawn, other.length).num_rows > other.rows for other in cheaper)


def like_conll2003(num_sentences):
    """Draw lengths in pieces with the quantiles of CoNLL-2003's train split."""
    shares, lengths = (0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1), (3, 15, 40, 56, 71, 100, 164)
    drawn = np.random.Generator(np.random.Philox(2003)).random(num_sentences)
    return np.round(np.interp(drawn, shares, lengths)).astype(int)


def epochs(plan, lengths, batch_size, number):
    """Return the shapes of each epoch's batches."""
    for epoch in range(number):
        order = epoch_order(len(lengths), 12, epoch)
        yield [plan.fit(lengths[order[i : i + batch_size]])[0] for i in range(0, len(lengths), batch_size)]


def share(lengths, shapes):
    return lengths.sum() / sum(shape.rows * shape.length for shape in shapes)


@pytest.mark.parametrize("batch_size", [64, 256, 1024])
@pytest.mark.parametrize("row_multiple", [1, 2, 8])
def test_nine_tenths_of_what_is_computed_is_real_on_lengths_like_conll2003(batch_size, row_multiple):
    lengths = like_conll2003(14_000)
    assert lengths.mean() == pytest.approx(20, abs=1)
    plan = ShapePlan(lengths, batch_size, row_multiple)
    first, second = epochs(plan, lengths, batch_size, 2)
    assert min(share(lengths, first), share(lengths, second)) >= 0.9
    assert {*first, *second} <= set(plan.shapes)
    assert set(second) <= set(first)  # nothing new to compile


def test_rows_stay_near_the_longest_sentence():
    lengths = like_conll2003(14_000)
    shapes = next(epochs(ShapePlan(lengths, 64), lengths, 64, 1))
    order = epoch_order(len(lengths), 12, 0)
    longest = [lengths[order[i : i + 64]].max() for i in range(0, len(lengths), 64)]
    assert np.mean([shape.length for shape in shapes]) <= 1.5 * np.mean(longest)


@pytest.mark.parametrize("batch_size", [16, 64, 256])
def test_where_a_sequence_stands_does_not_depend_on_the_number_of_devices(batch_size):
    rng = np.random.default_rng(3)
    lengths = np.minimum(rng.geometric(0.06, 4000) + 2, 120)
    plans = [ShapePlan(lengths, batch_size, row_multiple) for row_multiple in (1, 2, 3, 8, 16)]
    for _ in range(50):
        drawn = rng.choice(lengths, batch_size, replace=False)
        (shape, packing), *others = (plan.fit(drawn) for plan in plans)
        for plan, (other, same) in zip(plans[1:], others, strict=True):
            np.testing.assert_array_equal(packing.rows, same.rows)
            np.testing.assert_array_equal(packing.starts, same.starts)
            assert other.length == shape.length
            assert other in plan.shapes


@pytest.mark.parametrize(
    "lengths",
    [
        np.full(500, 33),  # two per row of 72; one per row of 40 would waste a sixth
        np.tile([512, 30, 20, 10], 1000),  # every batch has the longest
        np.arange(3, 48).repeat(80),
    ],
    ids=["of one length", "windows of a long text", "short"],
)
def test_corpora_whose_longest_sentence_is_common_are_packed_too(lengths):
    plan = ShapePlan(lengths, 64)
    shapes = [shape for epoch in epochs(plan, lengths, 64, 5) for shape in epoch]
    assert 5 * lengths.sum() >= 0.85 * sum(shape.rows * shape.length for shape in shapes)
    assert set(shapes) <= set(plan.shapes)


SHARED = os.environ.get("HYBRIDNER_SHARED_DATA")


@pytest.mark.slow
@pytest.mark.skipif(SHARED is None, reason="HYBRIDNER_SHARED_DATA names no folder")
@pytest.mark.parametrize("trained", [False, True], ids=["uncased vocabulary", "trained vocabulary"])
def test_fifty_epochs_of_conll2003_compile_nothing_after_the_first(trained):
    corpus = read_corpus(f"{SHARED}/conll2003", splits=("train",))
    sentences = corpus.splits["train"]
    if trained:
        tokenizer = train_tokenizer(sentences, 30522)
    else:
        tokenizer = load_tokenizer(f"{SHARED}/vocab/bert-base-uncased-vocab.txt", None)
    lengths = np.asarray(encode(sentences, tokenizer, corpus.labels, 1024).lengths)
    for batch_size, row_multiple in ((16, 1), (64, 1), (64, 8), (256, 8), (1024, 8)):
        plan = ShapePlan(lengths, batch_size, row_multiple)
        first, *rest = epochs(plan, lengths, batch_size, 50)
        assert len(plan.shapes) <= 8
        assert {shape for epoch in rest for shape in epoch} <= set(first) <= set(plan.shapes)
        assert share(lengths, first) >= (0.9 if batch_size >= 64 else 0.85)
