from itertools import groupby, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.batches.batch import epoch_order, inference_batches, training_batches
from hybridner.batches.encoding import IGNORED, encode
from hybridner.batches.packing import ShapePlan
from hybridner.corpora.corpus import Sentence

LABELS = ("O", "B-PER", "I-PER")
WORDS = ("the", "river", "mayor", "Velmora", "Tarkin", "who", "?", "knows-it")
PAD = 0


@pytest.fixture(scope="module")
def split(tokenizer):
    """Make sentences of 1 to 40 words, the longest cut into windows."""
    rng = np.random.Generator(np.random.Philox(4))
    sizes = np.minimum(rng.geometric(0.12, 150), 40)
    words = [tuple(rng.choice(WORDS, size).tolist()) for size in sizes]
    sentences = [Sentence(w, tuple(rng.choice(LABELS, len(w)).tolist())) for w in words]
    encoded = encode(sentences, tokenizer, LABELS, 40)
    assert encoded.num_windowed > 3
    return encoded


def train(split, epoch=0, start=0, batch_size=16, row_multiple=1, seed=12, part=(0, 1)):
    plan = ShapePlan(split.lengths, batch_size, row_multiple)
    options = {"batch_size": batch_size, "seed": seed, "epoch": epoch, "start": start, "part": part}
    return training_batches(split, plan, pad_token_id=PAD, **options)


def assert_holds(batch, split):
    """Check that each packed example is where the batch says, under its own number in its row, and nothing else is."""
    ids, mask = np.full_like(batch.input_ids, PAD), np.zeros_like(batch.attention_mask)
    labels = np.full_like(batch.labels, IGNORED)
    in_row = [0] * len(mask)
    for example, row, start, length in zip(batch.examples, batch.rows, batch.starts, batch.lengths, strict=True):
        span = slice(start, start + length)
        assert not mask[row, span].any()
        in_row[row] += 1
        mask[row, span] = in_row[row]
        ids[row, span], labels[row, span] = split.example(example)
    assert np.array_equal(batch.input_ids, ids)
    assert np.array_equal(batch.attention_mask, mask)
    assert np.array_equal(batch.labels, labels)
    assert {array.dtype for array in (batch.input_ids, batch.attention_mask, batch.labels)} == {np.dtype("int32")}
    assert batch.num_pieces == (batch.attention_mask != 0).sum() == sum(split.lengths[batch.examples])


def assert_same(a, b):
    for name in ("input_ids", "attention_mask", "labels", "examples", "rows", "starts", "lengths"):
        assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("batch_size", [1, 16, 1000])
@pytest.mark.parametrize("row_multiple", [1, 8])
def test_an_epoch_holds_each_example_once(split, batch_size, row_multiple):
    batches = list(train(split, batch_size=batch_size, row_multiple=row_multiple))
    assert sorted(np.concatenate([batch.examples for batch in batches])) == list(range(len(split)))
    assert all(len(batch.examples) == batch_size for batch in batches[:-1])
    for batch in batches:
        assert_holds(batch, split)
        assert batch.input_ids.shape[0] % row_multiple == 0


def test_the_attention_mask_counts_the_sentences_of_each_row_from_1(split):
    for batch in train(split):
        assert batch.attention_mask.max() > 1
        for row in batch.attention_mask:
            numbers = [number for number, _ in groupby(row[row != 0].tolist())]
            assert sorted(numbers) == list(range(1, len(numbers) + 1))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 300), st.integers(0, 2**63 - 1), st.integers(0, 2**31))
def test_the_order_is_a_permutation_that_seed_and_epoch_decide(number, seed, epoch):
    order = epoch_order(number, seed, epoch)
    assert sorted(order.tolist()) == list(range(number))
    assert order.tolist() == epoch_order(number, seed, epoch).tolist()


def test_epochs_and_seeds_have_other_orders():
    orders = {epoch_order(100, seed, epoch).tobytes() for seed in (0, 1, 12) for epoch in range(20)}
    assert len(orders) == 60


def test_the_batches_of_an_epoch_are_a_function_of_seed_and_epoch(split):
    first, again = list(train(split, epoch=2)), list(train(split, epoch=2))
    assert len(first) == len(again)
    for a, b in zip(first, again, strict=True):
        assert_same(a, b)
    for other in (train(split, epoch=3), train(split, epoch=2, seed=13)):
        assert next(other).examples.tolist() != first[0].examples.tolist()


@pytest.mark.parametrize("start", [0, 1, 5, 9])
def test_starting_at_a_batch_gives_the_batches_from_there_on(split, start):
    whole = list(train(split, epoch=1))
    assert len(whole) > 9
    rest = list(train(split, epoch=1, start=start))
    assert len(rest) == len(whole) - start
    for a, b in zip(rest, islice(whole, start, None), strict=True):
        assert_same(a, b)
    assert list(train(split, epoch=1, start=len(whole))) == []


def test_the_batches_of_training_have_few_shapes(split):
    shapes = {batch.input_ids.shape for epoch in range(4) for batch in train(split, epoch)}
    assert len(shapes) <= 8


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_the_parts_of_a_batch_are_its_rows(split, batch_size):
    of = 4
    whole = list(train(split, batch_size=batch_size, row_multiple=8))
    parts = [list(train(split, batch_size=batch_size, row_multiple=8, part=(number, of))) for number in range(of)]
    assert [len(part) for part in parts] == [len(whole)] * of
    for batch, *pieces in zip(whole, *parts, strict=True):
        for name in ("input_ids", "attention_mask", "labels"):
            assert np.array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(batch, name))
        for number, piece in enumerate(pieces):
            assert piece.shape == batch.shape == batch.input_ids.shape
            assert piece.num_pieces == batch.num_pieces
            assert piece.examples.tolist() == batch.examples.tolist()
            assert_same(piece, batch.take_part(number, of))
            assert piece.take_part(number, of) is piece


def test_a_part_is_no_other_part_and_rows_are_shared_evenly(split):
    batch = next(train(split, row_multiple=6))
    assert batch.take_part(0, 1) is batch
    with pytest.raises(ValueError, match="part 2 of 3"):
        batch.take_part(1, 3).take_part(2, 3)
    with pytest.raises(ValueError, match="part 0 of 5"):
        batch.take_part(0, 5)


def test_words_are_read_back_from_the_gathered_rows_by_a_process_that_has_a_part(split):
    wholes = inference_batches(split, pad_token_id=PAD, row_multiple=2)
    for whole, part in zip(
        wholes, inference_batches(split, pad_token_id=PAD, row_multiple=2, part=(1, 2)), strict=True
    ):
        assert np.array_equal(part.input_ids, whole.input_ids[len(part.input_ids) :])
        for (a, values), (b, expected) in zip(
            part.at_words(whole.labels, split), whole.at_words(whole.labels, split), strict=True
        ):
            assert a == b
            assert values.tolist() == expected.tolist()


@pytest.mark.parametrize("row_multiple", [1, 8])
def test_inference_holds_each_example_once_in_shapes_that_repeat(split, row_multiple):
    batches = list(inference_batches(split, pad_token_id=PAD, row_multiple=row_multiple))
    assert sorted(np.concatenate([batch.examples for batch in batches])) == list(range(len(split)))
    for batch in batches:
        assert_holds(batch, split)
        assert batch.input_ids.shape[0] % row_multiple == 0
    lengths = {batch.input_ids.shape[1] for batch in batches}
    assert len({batch.input_ids.shape for batch in batches}) <= 3 * len(lengths)


def test_inference_goes_through_a_long_file_chunk_by_chunk(split, monkeypatch):
    monkeypatch.setattr("hybridner.batches.batch._INFERENCE_CHUNK", 50)
    batches = list(inference_batches(split, pad_token_id=PAD))
    examples = np.concatenate([batch.examples for batch in batches])
    assert sorted(examples) == list(range(len(split)))
    assert (np.diff(examples // 50) >= 0).all()
    for batch in batches:
        assert_holds(batch, split)


def test_words_are_read_back_from_where_they_are_labelled(split):
    for batch in inference_batches(split, pad_token_id=PAD):
        for example, labels in batch.at_words(batch.labels, split):
            expected = split.example(example)[1]
            assert labels.tolist() == expected[expected != IGNORED].tolist()


@pytest.mark.parametrize(
    ("words", "row_multiple", "shapes"),
    [
        (5, 1, [(1, 32)]),
        (30, 1, [(1, 32)]),
        (31, 1, [(1, 64)]),
        (62, 1, [(1, 64)]),
        (5, 8, [(8, 64)]),
        (70, 1, [(1, 128)]),
    ],
)
def test_a_sentence_by_itself_is_a_batch_with_little_else(tokenizer, words, row_multiple, shapes):
    alone = encode([Sentence(("?",) * words, ("O",) * words)], tokenizer, LABELS, 128)
    assert alone.lengths.tolist() == [words + 2]  # each such word is one piece, plus [CLS] and [SEP]
    batches = list(inference_batches(alone, pad_token_id=PAD, row_multiple=row_multiple))
    assert [batch.input_ids.shape for batch in batches] == shapes
    assert_holds(batches[0], alone)
