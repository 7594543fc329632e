import gc
import sys
import tracemalloc
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.batches import encoding
from hybridner.batches.batch import inference_batches, training_batches
from hybridner.batches.encoding import IGNORED, by_sentence, encode, windows
from hybridner.batches.packing import ShapePlan
from hybridner.corpora import corpus
from hybridner.corpora.corpus import Sentence, Split

LABELS = ("O", "B-PER", "I-PER")


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Return the folder for encoded corpora."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def sizes_of(tokenizer, words):
    return [len(pieces) for pieces in tokenizer.encode_sentences([words])[0]]


@st.composite
def sizes_and_room(draw):
    room = draw(st.integers(1, 12))
    return draw(st.lists(st.integers(1, room), min_size=1, max_size=40)), room


@settings(deadline=None)
@given(sizes_and_room())
def test_windows_hold_each_word_and_label_it_once_in_order(given):
    sizes, room = given
    cut = list(windows(sizes, room))
    assert [i for *_, first, last in cut for i in range(first, last)] == list(range(len(sizes)))
    for start, stop, first, last in cut:
        assert start <= first < last <= stop
        assert sum(sizes[start:stop]) <= room
    assert (len(cut) == 1) == (sum(sizes) <= room)
    before = [0, *accumulate(sizes)]
    for (start, stop, _, labelled), (following, end, *_) in pairwise(cut):
        assert stop < end  # each window adds words
        used, shared = before[stop] - before[start], before[stop] - before[following]
        assert 2 * shared <= used
        if 2 * sizes[stop] <= room:  # no long word interferes
            assert 2 * (shared + sizes[following - 1]) > used
        # The middle of the overlap decides which window labels a word.
        assert abs((labelled - following) - (stop - labelled)) <= 1


def test_the_first_piece_of_a_word_carries_its_label_and_nothing_else_does(tokenizer):
    words, tags = ("Velta", "?", "whowhowho"), ("B-PER", "I-PER", "O")
    sizes = sizes_of(tokenizer, words)
    assert min(sizes[0], sizes[2]) > 1  # unseen names
    ids, labels = encode([Sentence(words, tags)], tokenizer, LABELS, 64).example(0)
    pieces = [i for word in tokenizer.encode_sentences([words])[0] for i in word]
    assert ids.tolist() == [tokenizer.cls_id, *pieces, tokenizer.sep_id]
    starts = [1, *accumulate(sizes, initial=1)][1:-1]
    expected = [IGNORED] * len(ids)
    for start, number in zip(starts, (1, 2, 0), strict=True):
        expected[start] = number
    assert labels.tolist() == expected
    assert ids.dtype == labels.dtype == np.int32


@pytest.mark.parametrize("tags", [("B-EVENT", "B-PER"), None])
def test_a_word_without_a_known_tag_has_label_0_and_is_scored(tokenizer, tags):
    _, labels = encode([Sentence(("the", "river"), tags)], tokenizer, LABELS, 64).example(0)
    assert labels[labels != IGNORED].tolist() == ([0, 0] if tags is None else [0, 1])


def test_a_word_longer_than_a_window_is_cut_to_it_and_keeps_its_label(tokenizer):
    long = "x" * 90
    assert sizes_of(tokenizer, [long])[0] == 1  # an unseen character: one [UNK]
    long = "who" * 30
    assert sizes_of(tokenizer, [long])[0] > 6
    encoded = encode([Sentence(("the", long, "the"), ("O", "B-PER", "O"))], tokenizer, LABELS, 8)
    assert max(encoded.lengths) == 8
    (tags,) = by_sentence(encoded, at_labelled(encoded))
    assert tags.tolist() == [0, 1, 0]


def at_labelled(encoded):
    for i in range(len(encoded)):
        labels = encoded.example(i)[1]
        yield i, labels[labels != IGNORED]


def random_sentences(number, longest=30):
    """Make sentences in which each word's label differs from its neighbours'."""
    rng = np.random.Generator(np.random.Philox(5))
    vocabulary = ["the", "river", "mayor", "Velmora", "Tarkin", "who", "?", "unlikely", "knows-it"]
    for n in range(number):
        words = rng.choice(vocabulary, 1 + n % longest).tolist()
        yield Sentence(tuple(words), tuple(rng.choice(LABELS, len(words)).tolist()), 0, n)


@pytest.mark.parametrize("max_length", [14, 40, 512])
def test_the_tags_of_all_sentences_come_back_from_packed_batches_in_any_order(tokenizer, max_length):
    sentences = list(random_sentences(70))
    encoded = encode(sentences, tokenizer, LABELS, max_length)
    assert max(encoded.lengths) <= max_length
    assert encoded.num_sentences == len(sentences)
    sizes = [sum(sizes_of(tokenizer, s.words)) + 2 for s in sentences]
    assert encoded.num_windowed == sum(size > max_length for size in sizes)
    found = [
        pair for batch in inference_batches(encoded, pad_token_id=0) for pair in batch.at_words(batch.labels, encoded)
    ]
    for order in (found, found[::-1]):
        restored = by_sentence(encoded, order)
        assert [tuple(LABELS[i] for i in tags) for tags in restored] == [s.tags for s in sentences]


def test_values_of_any_shape_are_joined(tokenizer):
    encoded = encode(random_sentences(25), tokenizer, LABELS, 14)
    values = ((i, np.stack([labels, -labels], 1)) for i, labels in at_labelled(encoded))
    joined = by_sentence(encoded, values)
    assert [len(one) for one in joined] == [len(s.words) for s in random_sentences(25)]
    assert all((one[:, 0] == -one[:, 1]).all() for one in joined)


def test_a_missing_example_is_an_error(tokenizer):
    encoded = encode(random_sentences(5), tokenizer, LABELS, 64)
    with pytest.raises(ValueError, match="example 3 of 5 is missing"):
        by_sentence(encoded, ((i, labels) for i, labels in at_labelled(encoded) if i != 3))


def test_chunks_leave_no_trace(tokenizer, monkeypatch):
    whole = encode(random_sentences(30), tokenizer, LABELS, 14)
    monkeypatch.setattr(encoding, "_SENTENCES_AT_ONCE", 7)
    pieces = encode(random_sentences(30), tokenizer, LABELS, 14)
    for name in ("input_ids", "labels", "offsets", "sentence"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))


def peak_memory(read):
    gc.collect()
    tracemalloc.start()
    try:
        kept = read()
        return tracemalloc.get_traced_memory()[1], kept
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tokenizer, monkeypatch):
    monkeypatch.setattr(encoding, "_SENTENCES_AT_ONCE", 256)
    monkeypatch.setattr(corpus, "_ROWS_PER_CHUNK", 256)
    plan, encode_chunk = ShapePlan(np.arange(3, 40), 16), tokenizer.encode_sentences

    def encode_sentences(chunk):
        gc.collect()  # Python collects cycles when it likes
        return encode_chunk(chunk)

    monkeypatch.setattr(tokenizer, "encode_sentences", encode_sentences)

    def read(number):
        encoded = encode(Split(random_sentences(number)), tokenizer, LABELS, 40)
        batches = training_batches(encoded, plan, batch_size=16, seed=1, epoch=0, pad_token_id=0)
        return sum(batch.num_pieces for batch in batches)

    read(5000)  # fill the tokenizer's cache with all words
    (small, pieces), (large, many_pieces) = (peak_memory(lambda n=n: read(n)) for n in (1000, 5000))
    assert many_pieces > 4.5 * pieces
    assert large - small < 20 * 4000  # bytes: half of those of a list with one Python number per sentence


def test_the_parts_of_a_split_are_its_sentences_in_order_and_outlive_it(tokenizer, monkeypatch):
    sentences = [Sentence(("the", "river", "Velmora") * (1 + 7 * (i % 4 == 1))) for i in range(11)]
    encoded = encode(sentences, tokenizer, LABELS, 12)
    expected = by_sentence(encoded, ((i, encoded.example(i)[0]) for i in range(len(encoded))))
    assert encoded.num_windowed == 3
    monkeypatch.setattr(encoding, "_SENTENCES_AT_ONCE", 4)
    parts = list(encoded.parts())
    del encoded
    gc.collect()
    assert [(part.num_sentences, part.num_windowed) for part in parts] == [(4, 1), (4, 1), (3, 1)]
    found = [by_sentence(part, ((i, part.example(i)[0]) for i in range(len(part)))) for part in parts]
    for one, other in zip([ids for part in found for ids in part], expected, strict=True):
        assert one.tolist() == other.tolist()
    assert [len(part.offsets) - 1 for part in parts] == [len(part.lengths) for part in parts] == list(map(len, parts))


def test_nothing_to_encode_is_an_empty_split(tokenizer):
    encoded = encode([], tokenizer, LABELS, 64)
    assert (len(encoded), encoded.num_sentences, encoded.num_windowed) == (0, 0, 0)
    assert by_sentence(encoded, []) == list(inference_batches(encoded, pad_token_id=0)) == []


def files_held(folder):
    """List this process' open files that are or were in ``folder``."""
    links = (str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return [link for link in links if link.startswith(str(folder))]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the open files")
def test_what_grows_is_in_files_that_a_killed_process_cannot_leave_behind(tokenizer, temporary_folder):
    split = Split(random_sentences(5))
    encoded = encode(split, tokenizer, LABELS, 64)
    for name in ("input_ids", "labels", "offsets", "lengths", "sentence"):
        assert isinstance(getattr(encoded, name).base, np.memmap)
    assert list(temporary_folder.iterdir()) == []
    assert len(files_held(temporary_folder)) >= 6
    del split, encoded
    gc.collect()
    assert files_held(temporary_folder) == []


def test_a_failure_on_the_way_leaves_no_files(tokenizer, temporary_folder):
    def broken():
        yield from random_sentences(2)
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        encode(broken(), tokenizer, LABELS, 64)
    assert list(Path(temporary_folder).iterdir()) == []
