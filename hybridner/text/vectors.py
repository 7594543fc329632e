"""Frozen vectors of words in a memory-mapped file: a look-up reads the rows that it needs, never the whole matrix."""

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple
from weakref import finalize

import numpy as np
from jaxtyping import Float16, Float32, Int, Int32, Int64, UInt8, UInt64

_BYTES_AT_ONCE = 1 << 22


class WordIndex(NamedTuple):
    """The words of some vectors, and where to find each.

    Attributes:
        text: all words in UTF-8, one after the other.
        ends: where each ends in ``text``.
        hashes: hash of each different word, in ascending order.
        rows: the row of the vector of each hash; of a repeated word, the first.
    """

    text: UInt8[np.ndarray, "num_bytes"]
    ends: Int64[np.ndarray, "num_rows"]
    hashes: UInt64[np.ndarray, "num_words"]
    rows: Int32[np.ndarray, "num_words"]


class IndexBuilder:
    """A :class:`WordIndex` that takes its words some at a time."""

    def __init__(self) -> None:
        self._text, self._ends, self._hashes = bytearray(), array("q"), array("Q")

    def add(self, words: Sequence[bytes]) -> None:
        """Add the words, in UTF-8, of the next rows."""
        for word in words:
            self._text += word
            self._ends.append(len(self._text))
        self._hashes.extend(map(_hash, words))

    def build(self) -> WordIndex:
        """Return the index of the words added."""
        hashes, rows = np.unique(np.frombuffer(self._hashes, np.uint64), return_index=True)
        text, ends = np.frombuffer(self._text, np.uint8), np.frombuffer(self._ends, np.int64)
        return WordIndex(text, ends, hashes, rows.astype(np.int32))


class WordVectors:
    """Vectors in half precision, one for each word of a file.

    Attributes:
        size: numbers in a vector.
        index: the words.
        where: the file that they were read from, for messages.
    """

    def __init__(
        self, file: IO[bytes], dtype: np.dtype, offset: int, num_rows: int, size: int, index: WordIndex, where: str
    ) -> None:
        """Take over ``file``, in which ``offset`` is followed by a matrix ``[num_rows, size]``."""
        self.size, self.index, self.where = size, index, where
        self._descriptor, self._offset, self._dtype = file.fileno(), offset, dtype
        self._matrix = np.memmap(file, dtype, "r", offset, (num_rows, size)).view(np.ndarray)
        finalize(self, file.close)

    def __len__(self) -> int:
        return len(self._matrix)

    @property
    def num_repeated(self) -> int:
        """Return the number of rows whose word has a row before."""
        return len(self) - len(self.index.hashes)

    def find(self, words: Sequence[str]) -> Int32[np.ndarray, "num_words"]:
        """Find the row of each word: of itself, else in lower case, else :func:`normalized`; -1 if there is none."""
        found = np.full(len(words), -1, np.int32)
        for form in (str, str.lower, normalized):
            missing = np.flatnonzero(found < 0).tolist()
            found[missing] = self._rows_of([form(words[i]) for i in missing])
        return found

    def take(self, rows: Int[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape size"]:
        """Read the vectors of ``rows``, rounded to half precision; zeros for -1."""
        found = self._matrix[np.maximum(rows, 0)].astype(np.float16).astype(np.float32)
        found[rows < 0] = 0
        return found

    def chunks(self) -> Iterator[Float16[np.ndarray, "rows size"]]:
        """Read all vectors, some MiB at a time, in half precision."""
        row = self._dtype.itemsize * self.size
        at_once = max(1, _BYTES_AT_ONCE // row)
        for first in range(0, len(self), at_once):
            count = min(at_once, len(self) - first)
            # Pages read through a memory map count towards the process's memory; pages read with pread do not.
            content = os.pread(self._descriptor, count * row, self._offset + first * row)
            with np.errstate(over="ignore"):
                yield np.frombuffer(content, self._dtype).reshape(count, self.size).astype(np.float16)

    def digest(self) -> str:
        """Compute the SHA-256 of words and vectors, in hexadecimal; the form of file does not matter."""
        total = hashlib.sha256(f"{len(self)}\0{self.size}\0".encode())
        for part in (self.index.text, self.index.ends.astype("<i8", copy=False)):
            total.update(np.ascontiguousarray(part).data)
        for chunk in self.chunks():
            total.update(chunk.astype("<f2", copy=False).data)
        return total.hexdigest()

    def _rows_of(self, words: list[str]) -> Int32[np.ndarray, "num_words"]:
        encoded = [word.encode("utf-8", "surrogatepass") for word in words]
        hashes = np.fromiter(map(_hash, encoded), np.uint64, len(encoded))
        places = np.searchsorted(self.index.hashes, hashes).clip(max=len(self.index.hashes) - 1)
        rows = self.index.rows[places]
        rows[self.index.hashes[places] != hashes] = -1
        for i in np.flatnonzero(rows >= 0):  # two words may have one hash
            if self._word(int(rows[i])) != encoded[i]:
                rows[i] = -1
        return rows

    def _word(self, row: int) -> bytes:
        start = int(self.index.ends[row - 1]) if row else 0
        return self.index.text[start : int(self.index.ends[row])].tobytes()


def normalized(word: str) -> str:
    """Write a word in lower case, with 0 for each digit."""
    return "".join("0" if character.isdigit() else character for character in word.lower())


def _hash(word: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")
