"""Sentences as word pieces with labels, encoded once and kept in memory-mapped files."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import finalize

import numpy as np
from jaxtyping import Int

from hybridner.data.corpus import Sentence
from hybridner.data.tokenizer import WordTokenizer

IGNORED = -100
_SENTENCES_AT_ONCE = 4096


class Encoded:
    """A split as examples: one a sentence, or several windows of a sentence that is too long.

    Attributes:
        input_ids: int32, the pieces of all examples one after the other, [CLS] and [SEP] included.
        labels: int32, as long: the label's number on the first piece of each word, ``IGNORED`` elsewhere.
        offsets: int64 ``[num_examples + 1]``; example i is at ``offsets[i]:offsets[i + 1]``.
        sentence: int64 ``[num_examples]``, the sentence each example is of.
        num_sentences: sentences in the split.
    """

    def __init__(self, folder: TemporaryDirectory[str], offsets: np.ndarray, sentence: np.ndarray) -> None:
        self.input_ids: Int[np.ndarray, num_pieces] = _open(Path(folder.name) / "input_ids")
        self.labels: Int[np.ndarray, num_pieces] = _open(Path(folder.name) / "labels")
        self.offsets, self.sentence = offsets, sentence
        self.num_sentences = int(sentence[-1]) + 1 if len(sentence) else 0
        self.lengths: Int[np.ndarray, num_examples] = np.diff(offsets)
        finalize(self, folder.cleanup)

    def __len__(self) -> int:
        return len(self.sentence)

    @property
    def num_windowed(self) -> int:
        """Sentences that were cut into windows."""
        return int((np.bincount(self.sentence, minlength=1) > 1).sum())

    def example(self, index: int) -> tuple[Int[np.ndarray, "length"], Int[np.ndarray, "length"]]:
        """Pieces and labels of one example."""
        span = slice(self.offsets[index], self.offsets[index + 1])
        return self.input_ids[span], self.labels[span]


def encode(sentences: Iterable[Sentence], tokenizer: WordTokenizer, labels: Sequence[str], max_length: int) -> Encoded:
    """Turn sentences into pieces and labels, a few thousand at a time.

    A sentence of more than ``max_length`` pieces is cut at word boundaries into windows that overlap by about half.
    Each word is labelled in one window only, where it has most context, so the labelled positions of a sentence's
    windows, in order, are its words. A word longer than a window is cut to it.

    Args:
        sentences: a tag that is not in ``labels``, and every word without one, gets label 0.
        tokenizer: words to pieces.
        labels: names of the labels by number.
        max_length: most pieces of an example, [CLS] and [SEP] included.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    folder = TemporaryDirectory(prefix="hybridner-")
    lengths: list[int] = []
    sentence_of: list[int] = []
    stream = iter(sentences)
    count = 0
    with (Path(folder.name) / "input_ids").open("wb") as ids_file, (Path(folder.name) / "labels").open("wb") as file:
        while chunk := list(islice(stream, _SENTENCES_AT_ONCE)):
            pieces = tokenizer.encode_sentences([sentence.words for sentence in chunk])
            chunk_ids: list[int] = []
            chunk_labels: list[int] = []
            for number, (sentence, words) in enumerate(zip(chunk, pieces, strict=True), count):
                tags = sentence.tags or ("O",) * len(words)
                label_ids = [numbers.get(tag, 0) for tag in tags]
                for start, stop, first, last in windows([len(word) for word in words], max_length - 2):
                    before = len(chunk_ids)
                    chunk_ids.append(tokenizer.cls_id)
                    chunk_labels.append(IGNORED)
                    for i in range(start, stop):
                        word = words[i][: max_length - 2]
                        chunk_ids += word
                        chunk_labels.append(label_ids[i] if first <= i < last else IGNORED)
                        chunk_labels += [IGNORED] * (len(word) - 1)
                    chunk_ids.append(tokenizer.sep_id)
                    chunk_labels.append(IGNORED)
                    lengths.append(len(chunk_ids) - before)
                    sentence_of.append(number)
            ids_file.write(np.asarray(chunk_ids, np.int32).tobytes())
            file.write(np.asarray(chunk_labels, np.int32).tobytes())
            count += len(chunk)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return Encoded(folder, offsets, np.asarray(sentence_of, np.int64))


def windows(sizes: Sequence[int], room: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut words of ``sizes`` pieces into windows of at most ``room`` pieces.

    Yields:
        ``(start, stop, first, last)``: the window holds the words ``start:stop`` and labels ``first:last`` of them.
        The labelled parts of all windows, in order, are all the words.
    """
    if sum(sizes) <= room:
        yield 0, len(sizes), 0, len(sizes)
        return
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        stop, used = start, 0
        while stop < len(sizes) and used + min(sizes[stop], room) <= room:
            used += min(sizes[stop], room)
            stop += 1
        spans.append((start, stop))
        if stop == len(sizes):
            break
        # The next window begins in the middle of this one, by pieces.
        following, passed = start, 0
        while following < stop and 2 * passed < used:
            passed += min(sizes[following], room)
            following += 1
        start = max(following, start + 1)
    first = 0
    for i, (start, stop) in enumerate(spans):
        last = (spans[i + 1][0] + stop + 1) // 2 if i + 1 < len(spans) else stop
        last = max(last, first)
        yield start, stop, first, last
        first = last


def by_sentence(encoded: Encoded, values: Iterable[tuple[int, np.ndarray]]) -> list[np.ndarray]:
    """Join what was found at the labelled positions of each example into one array a sentence.

    Args:
        encoded: the split.
        values: pairs of an example and an array ``[labelled positions, …]``, in any order.

    Raises:
        ValueError: an example is missing.
    """
    found: list[np.ndarray | None] = [None] * len(encoded)
    for example, value in values:
        found[example] = value
    parts: list[list[np.ndarray]] = [[] for _ in range(encoded.num_sentences)]
    for example, sentence in enumerate(encoded.sentence.tolist()):
        value = found[example]
        if value is None:
            raise ValueError(f"nothing for example {example} of {len(encoded)}")
        parts[sentence].append(value)
    return [one[0] if len(one) == 1 else np.concatenate(one) for one in parts]


def _open(path: Path) -> np.ndarray:
    if path.stat().st_size == 0:
        return np.zeros(0, np.int32)
    return np.memmap(path, np.int32, "r")
