"""Encoding: sentences to word pieces with labels, kept in memory-mapped files."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import IO, NamedTuple
from weakref import finalize

import numpy as np
from jaxtyping import Float32, Int, Int32
from numpy.typing import DTypeLike

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.labels import is_bioes
from hybridner.corpora.schemes import from_bio, to_bio
from hybridner.text.tokenizer import WordTokenizer
from hybridner.text.vectors import WordVectors
from hybridner.text.vocabulary import TypeTable, Vocabulary

IGNORED = -100
_SENTENCES_AT_ONCE = 4096
_PIECE = np.dtype(np.int32).itemsize
_TYPES: dict[str, DTypeLike] = {
    "input_ids": np.int32, "labels": np.int32, "offsets": np.int64, "lengths": np.int64, "sentence": np.int64,
}  # fmt: skip
_Files = dict[str, IO[bytes]]


class Encoded:
    """A split as examples: one per sentence, or several windows of a sentence that is too long.

    The arrays are in unnamed temporary files, which the system deletes with this object, or if the process is killed.

    Attributes:
        input_ids: int32, the pieces of all examples one after the other, [CLS] and [SEP] included.
        labels: int32, same length: the label's number on the first piece of each word, ``IGNORED`` elsewhere.
        offsets: int64 ``[num_examples + 1]``; example i is at ``offsets[i]:offsets[i + 1]``.
        lengths: int64 ``[num_examples]``, pieces of each.
        sentence: int64 ``[num_examples]``, the sentence each example is of.
        num_sentences: sentences in the split.
        num_windowed: sentences that were cut into windows.
        types: the different words, if a model reads words: ``input_ids`` then contains their numbers.
    """

    input_ids: Int[np.ndarray, "num_pieces"]
    labels: Int[np.ndarray, "num_pieces"]
    offsets: Int[np.ndarray, "num_offsets"]
    lengths: Int[np.ndarray, "num_examples"]
    sentence: Int[np.ndarray, "num_examples"]
    _whole: "Encoded | None" = None

    def __init__(
        self, files: _Files, opened: ExitStack, num_sentences: int, num_windowed: int, types: "WordTypes | None"
    ) -> None:
        for name, file in files.items():
            file.flush()
            is_empty = os.fstat(file.fileno()).st_size == 0
            array = np.zeros(0, _TYPES[name]) if is_empty else np.memmap(file, _TYPES[name], "r").view(np.ndarray)
            setattr(self, name, array)
        self.num_sentences, self.num_windowed, self.types = num_sentences, num_windowed, types
        # Pages read through a memory map count towards the process's memory; pages read with pread do not.
        self._pieces = files["input_ids"], files["labels"]
        finalize(self, opened.close)

    def __len__(self) -> int:
        return len(self.sentence)

    def example(self, index: int) -> tuple[Int[np.ndarray, "length"], Int[np.ndarray, "length"]]:
        """Read the pieces and labels of one example."""
        size, start = _PIECE * int(self.lengths[index]), _PIECE * int(self.offsets[index])
        ids, labels = (np.frombuffer(os.pread(file.fileno(), size, start), np.int32) for file in self._pieces)
        return ids, labels

    def parts(self) -> Iterator["Encoded"]:
        """Cut the split, in order, into parts of a few thousand whole sentences, which read the files of this object.

        Examples and sentences count from 0 in each part; ``input_ids`` and ``labels`` stay those of the whole split.
        """
        for first in range(0, self.num_sentences, _SENTENCES_AT_ONCE):
            part, count = copy(self), min(_SENTENCES_AT_ONCE, self.num_sentences - first)
            part._whole = self  # keeps the files
            begin, end = np.searchsorted(self.sentence, (first, first + count)).tolist()
            part.offsets, part.lengths = self.offsets[begin : end + 1], self.lengths[begin:end]
            part.sentence, part.num_sentences = self.sentence[begin:end] - first, count
            part.num_windowed = int((np.bincount(part.sentence) > 1).sum())
            yield part


class WordTypes(NamedTuple):
    """The different words of a split; type 0 is padding.

    Attributes:
        features: what the model reads of each.
        drop: probability of each to be taken for unknown in training.
        vectors: frozen vectors of words, if the model reads them.
        vector_rows: row of each type's vector; -1 for zeros.
    """

    features: Int32[np.ndarray, "num_types num_features"]
    drop: Float32[np.ndarray, "num_types"]
    vectors: WordVectors | None = None
    vector_rows: Int32[np.ndarray, "num_types"] | None = None


def encode(
    sentences: Iterable[Sentence], tokenizer: WordTokenizer | Vocabulary, labels: Sequence[str], max_length: int
) -> Encoded:
    """Turn sentences into pieces (or words) and labels, a few thousand at a time.

    A sentence of more than ``max_length`` pieces, [CLS] and [SEP] included, is cut at word boundaries into windows that
    overlap by about half. Each word is labelled in one window only, where it has most context, so the labelled
    positions of a sentence's windows, in order, are its words. A word longer than a window is cut to it. A word without
    a tag, or with one that ``labels`` lacks, gets label 0.
    """
    with ExitStack() as opened:
        files: _Files = {name: opened.enter_context(TemporaryFile()) for name in _TYPES}
        encoder = tokenizer.encoder()
        counts = _write(files, iter(sentences), encoder, labels, max_length)
        types = None
        if isinstance(encoder, TypeTable):
            features, drop = encoder.features(), encoder.drop_probabilities()
            types = WordTypes(features, drop, encoder.vectors, encoder.vector_rows())
        return Encoded(files, opened.pop_all(), *counts, types)


def _write(
    files: _Files,
    stream: Iterator[Sentence],
    tokenizer: WordTokenizer | TypeTable,
    labels: Sequence[str],
    max_length: int,
) -> tuple[int, int]:
    """Write the examples; return the number of sentences and of those cut into windows."""
    numbers = {label: number for number, label in enumerate(labels)}
    as_bioes = is_bioes(labels)
    room = max_length - len(tokenizer.first) - len(tokenizer.last)
    count = windowed = end = 0
    files["offsets"].write(np.zeros(1, np.int64).tobytes())
    while chunk := list(islice(stream, _SENTENCES_AT_ONCE)):
        pieces = tokenizer.encode_sentences([sentence.words for sentence in chunk])
        arrays: dict[str, list[int]] = {name: [] for name in _TYPES}
        ids, label_ids, offsets, lengths, sentence_of = arrays.values()
        for number, (sentence, words) in enumerate(zip(chunk, pieces, strict=True), count):
            tags = sentence.tags or ("O",) * len(words)
            words = [word[:room] for word in words]
            cut = list(windows([len(word) for word in words], room))
            for start, stop, first, last in cut:
                before = len(ids)
                # Entities are cut where the labelled part of a window is.
                labelled = from_bio(to_bio(tags[first:last], "BIO")[0], "BIOES") if as_bioes else tags[first:last]
                ids += [*tokenizer.first, *chain(*words[start:stop]), *tokenizer.last]
                label_ids += [IGNORED] * len(tokenizer.first)
                for i in range(start, stop):
                    label_ids.append(numbers.get(labelled[i - first], 0) if first <= i < last else IGNORED)
                    label_ids += [IGNORED] * (len(words[i]) - 1)
                label_ids += [IGNORED] * len(tokenizer.last)
                lengths.append(len(ids) - before)
                offsets.append(end + len(ids))
            sentence_of += [number] * len(cut)
            windowed += len(cut) > 1
        for name, values in arrays.items():
            files[name].write(np.asarray(values, _TYPES[name]).tobytes())
        end += len(ids)
        count += len(chunk)
    return count, windowed


def windows(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut words of ``sizes`` pieces, none above ``room``, into windows of at most ``room`` pieces.

    Yields:
        ``(start, stop, first, last)``: the window contains the words ``start:stop`` and labels ``first:last`` of them.
        The labelled parts of all windows, in order, are all the words.
    """
    start = stop = first = used = 0
    while True:
        while stop < len(sizes) and used + sizes[stop] <= room:
            used += sizes[stop]
            stop += 1
        if stop == len(sizes):
            yield start, stop, first, stop
            return
        # The next window begins in the middle of this one, by pieces; later if it would end with the same word.
        window, half = start, used / 2
        while start < stop and (used > half or used + sizes[stop] > room):
            used -= sizes[start]
            start += 1
        last = (start + stop + 1) // 2
        yield window, stop, first, last
        first = last


def by_sentence(encoded: Encoded, values: Iterable[tuple[int, np.ndarray]]) -> list[np.ndarray]:
    """Join the values at the labelled positions of examples into one array per sentence.

    Args:
        encoded: the split.
        values: pairs of an example and an array ``[labelled positions, …]``, in any order.

    Raises:
        ValueError: an example is missing.
    """
    found = dict(values)
    parts: list[list[np.ndarray]] = [[] for _ in range(encoded.num_sentences)]
    for example, sentence in enumerate(encoded.sentence.tolist()):
        if example not in found:
            raise ValueError(f"example {example} of {len(encoded)} is missing")
        parts[sentence].append(found[example])
    return [one[0] if len(one) == 1 else np.concatenate(one) for one in parts]
