"""Files of word vectors: the text of GloVe and fastText, and numpy's ``.npz`` and ``.npy``.

We read a file once, as a stream. A ``.npy`` is memory-mapped as it is; any other form becomes a temporary file in half
precision without a name, which the system deletes with the vectors, or if the process is killed.
"""

import gzip
import json
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np

from hybridner.errors import InputError
from hybridner.files.reading import read_text
from hybridner.text.vectors import IndexBuilder, WordVectors

_LONGEST_LINE = 1 << 20
_LARGEST_WORDS = 1 << 30
_ROWS_AT_ONCE = 4096
_HALF = np.dtype(np.float16)
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_Chunk = tuple[Sequence[bytes], np.ndarray]


def read_vectors(path: Path) -> WordVectors:
    """Read vectors in the form that the name of their file tells.

    ``NAME.npz`` contains the arrays ``words`` and ``vectors``; ``NAME.npy`` has its words beside it, in ``NAME.txt``
    (one per line) or ``NAME.json`` (a list). Any other name is text, compressed if it ends in ``.gz``: a word and its
    numbers per line, perhaps after a line with the number of words and that of numbers.

    Raises:
        InputError: the file cannot be read, or is not such a file; the message names the line or row.
    """
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _read_npz(path, archive)
        if path.suffix == ".npy":
            return _read_npy(path)
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as packed:
                return _read_text(path, packed)
        with path.open("rb") as file:
            return _read_text(path, file)
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError) as error:
        raise InputError(f"{path}: damaged ({error}); copy the file again from its source") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_text(path: Path, file: gzip.GzipFile | IO[bytes]) -> WordVectors:
    first = file.readline(_LONGEST_LINE)
    lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
    header = first.split()
    promises = len(header) == 2 and all(field.isdigit() for field in header)
    if promises:
        size = int(header[1])
    else:
        size, lines = _count_numbers(first), chain([first], lines)
    if size == 0:
        raise InputError(f"{path}:1: no numbers after a word; expected text as GloVe and fastText write it")
    first_line = 1 + promises
    rows = (_parse(f"{path}:{number}", line, size) for number, line in enumerate(lines, first_line))
    chunks = (
        ([word for word, _ in part], np.frombuffer(b"".join(values for _, values in part), np.float64))
        for part in iter(lambda: list(islice(rows, _ROWS_AT_ONCE)), [])
    )
    vectors = _store(path, size, chunks, lambda row: f"{path}:{row + first_line}")
    if promises and len(vectors) != int(header[0]):
        raise InputError(
            f"{path}:1: promises {int(header[0]):,} words, but {len(vectors):,} follow; copy the file again from its "
            "source"
        )
    return vectors


def _parse(where: str, line: bytes, size: int) -> tuple[bytes, bytes]:
    """Split a line into the word, which may contain spaces, and the last ``size`` fields as float64."""
    word, *fields = line.rstrip(b" \r\n").rsplit(b" ", size)
    try:
        values = array("d", map(float, fields))
    except ValueError:
        values = array("d")
    is_too_wide = b" " in word and _is_number(word.rpartition(b" ")[2])
    if len(values) != size or is_too_wide:
        raise InputError(
            f"{where}: {_count_numbers(line)} numbers after the word; expected {size}, as in the first row"
        )
    try:
        word.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: not UTF-8 (byte {error.start} of the word {word.decode('latin-1')!r}); save the file as UTF-8, "
            "with: iconv -f LATIN1 -t UTF-8"
        ) from error
    return word, values.tobytes()


def _count_numbers(line: bytes) -> int:
    """Count the numbers at the end of a line, after at least one other field."""
    count = 0
    for field in reversed(line.rstrip(b" \r\n").split(b" ")[1:]):
        if not _is_number(field):
            break
        count += 1
    return count


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


class _Array(NamedTuple):
    """An array of numpy's, whose values follow in ``stream``."""

    stream: IO[bytes]
    shape: tuple[int, ...]
    dtype: np.dtype

    def chunks(self, where: str) -> Iterator[np.ndarray]:
        """Read some thousand rows at a time."""
        row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        for first in range(0, self.shape[0], _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, self.shape[0] - first)
            content = self.stream.read(count * row)
            if len(content) < count * row:
                raise InputError(f"{where}: ends too early; copy the file again from its source")
            yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])


def _open_array(where: str, stream: IO[bytes], kind: str, num_axes: int) -> _Array:
    """Read the header of an array; its dtype must be of ``kind`` and it must have ``num_axes``."""
    try:
        version = np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = _NPY_HEADERS[version](stream)
    except (ValueError, KeyError) as error:
        raise InputError(f"{where}: not an array of numpy ({error}); write it with numpy.save") from error
    if dtype.kind != kind or len(shape) != num_axes or (is_fortran and num_axes > 1) or 0 in shape:
        expected = {"f": "floating-point numbers [words, size]", "U": "text [words]"}[kind]
        order = ", in column order" if is_fortran and num_axes > 1 else ""
        raise InputError(f"{where}: an array of {dtype} {list(shape)}{order}; expected {expected}, in row order")
    return _Array(stream, shape, dtype)


def _read_npz(path: Path, archive: zipfile.ZipFile) -> WordVectors:
    missing = [name for name in ("words", "vectors") if f"{name}.npy" not in archive.namelist()]
    if missing:
        raise InputError(f"{path}: no array {missing[0]!r} in it; expected the arrays 'words' and 'vectors'")
    with archive.open("words.npy") as one, archive.open("vectors.npy") as other:
        words = _open_array(f"{path}: words", one, "U", 1)
        matrix = _open_array(f"{path}: vectors", other, "f", 2)
        _check_number(path, words.shape[0], matrix.shape[0])
        texts = (_utf8(part.tolist()) for part in words.chunks(f"{path}: words"))
        chunks = zip(texts, matrix.chunks(f"{path}: vectors"), strict=True)
        return _store(path, matrix.shape[1], chunks, lambda row: f"{path}: row {row + 1}")


def _read_npy(path: Path) -> WordVectors:
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        matrix = _open_array(str(path), file, "f", 2)
        offset = file.tell()
        words = _utf8(_words_beside(path))
        _check_number(path, len(words), matrix.shape[0])
        index = IndexBuilder()
        first = 0
        for values in matrix.chunks(str(path)):
            part = words[first : first + len(values)]
            _in_half(values, part, first, lambda row: f"{path}: row {row + 1}")
            index.add(part)
            first += len(part)
        opened.pop_all()
        number, size = matrix.shape
        return WordVectors(file, matrix.dtype, offset, number, size, index.build(), str(path))


def _words_beside(path: Path) -> list[str]:
    """Read the words of a ``.npy``."""
    lines, values = path.with_suffix(".txt"), path.with_suffix(".json")
    if lines.is_file():
        text = read_text(lines, _LARGEST_WORDS).removesuffix("\n")
        return [word.removesuffix("\r") for word in text.split("\n")]
    if not values.is_file():
        raise InputError(
            f"{path}: no words beside it; expected {lines.name}, one on each line, or a list {values.name}"
        )
    try:
        words = json.loads(read_text(values, _LARGEST_WORDS))
    except RecursionError:
        words = None
    except json.JSONDecodeError as error:
        raise InputError(f"{values}:{error.lineno}: not JSON ({error.msg}); expected a list of words") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{values}: expected a list of words")
    return words


def _check_number(path: Path, words: int, rows: int) -> None:
    if words != rows:
        raise InputError(f"{path}: {words:,} words for {rows:,} vectors; expected one word for each")


def _utf8(words: Iterable[str]) -> list[bytes]:
    return [word.encode("utf-8", "surrogatepass") for word in words]


def _store(path: Path, size: int, chunks: Iterable[_Chunk], at: Callable[[int], str]) -> WordVectors:
    """Write vectors to a temporary file; ``at`` names the place of a row, for messages."""
    index, number = IndexBuilder(), 0
    with ExitStack() as opened:
        file = opened.enter_context(TemporaryFile())
        for words, values in chunks:
            matrix = values.reshape(len(words), size)
            file.write(_in_half(matrix, words, number, at).tobytes())
            index.add(words)
            number += len(words)
        if number == 0:
            raise InputError(f"{path}: no vectors in it")
        file.flush()
        opened.pop_all()
        return WordVectors(file, _HALF, 0, number, size, index.build(), str(path))


def _in_half(matrix: np.ndarray, words: Sequence[bytes], first: int, at: Callable[[int], str]) -> np.ndarray:
    """Round the rows from ``first`` on to half precision.

    Raises:
        InputError: a number is not finite, or too large for half precision.
    """
    with np.errstate(over="ignore"):
        half = matrix.astype(_HALF)
    if not np.isfinite(half).all():
        row, column = np.argwhere(~np.isfinite(half))[0].tolist()
        word = words[row].decode("utf-8", "replace")
        raise InputError(
            f"{at(first + row)}: a number of {word!r} is {matrix[row, column]:g}; expected finite numbers of at most "
            f"{np.finfo(_HALF).max:,.0f}, the largest in half precision"
        )
    return half
