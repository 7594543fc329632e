"""A corpus after reading: sentences of words with BIO tags, in splits kept on disk."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, overload
from weakref import finalize

import pyarrow as pa

_SCHEMA = pa.schema(
    [
        ("words", pa.list_(pa.string())),
        ("tags", pa.list_(pa.string())),
        ("document", pa.int32()),
        ("line", pa.int64()),
    ]
)
_ROWS_PER_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a corpus.

    Attributes:
        words: the words as they stand in the file.
        tags: one BIO (IOB2) tag a word, or None where the text is not labelled.
        document: number of the document it belongs to, from 0; sentences of one document are adjacent.
        line: where it starts in its file, counted from 1 (for JSONL its line, for a table its row).
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    document: int = 0
    line: int = 0


class Split:
    """Sentences in an Arrow file without a name, read some thousands at a time.

    Host memory stays flat, however many there are, and a process that is killed leaves nothing on the disk. Build one
    with :meth:`write`. Indexing with an int gives a
    :class:`Sentence`; iteration goes in file order.
    """

    def __init__(self, file: IO[bytes], length: int, opened: ExitStack) -> None:
        self._length = length
        self._file = pa.ipc.open_file(pa.PythonFile(file, "r"))
        self._chunk: tuple[int, list[Sentence]] = (-1, [])
        finalize(self, opened.close)

    @classmethod
    def write(cls, sentences: Iterable[Sentence]) -> "Split":
        """Stream ``sentences`` to disk, a chunk of rows at a time, and open what was written."""
        stream = iter(sentences)
        length = 0
        with ExitStack() as opened:
            file = opened.enter_context(TemporaryFile())
            with pa.ipc.new_file(pa.PythonFile(file, "w"), _SCHEMA) as writer:
                while chunk := list(islice(stream, _ROWS_PER_CHUNK)):
                    writer.write_batch(_record_batch(chunk))
                    length += len(chunk)
            return cls(file, length, opened.pop_all())

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Sentence: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sentence]: ...
    def __getitem__(self, index: int | slice) -> Sentence | list[Sentence]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        chunk, row = divmod(index % len(self), _ROWS_PER_CHUNK)
        held, sentences = self._chunk
        if held != chunk:
            sentences = list(_sentences(self._file.get_batch(chunk)))
            self._chunk = chunk, sentences
        return sentences[row]

    def __iter__(self) -> Iterator[Sentence]:
        for chunk in range(self._file.num_record_batches):
            yield from _sentences(self._file.get_batch(chunk))

    def digest(self) -> str:
        """Compute the SHA-256 of the words, tags and document borders of all sentences, streamed, as hexadecimal."""
        total = hashlib.sha256()
        for sentence in self:
            total.update(json.dumps([sentence.words, sentence.tags, sentence.document]).encode())
        return total.hexdigest()


def _record_batch(sentences: list[Sentence]) -> pa.RecordBatch:
    columns = [
        [s.words for s in sentences],
        [s.tags for s in sentences],
        [s.document for s in sentences],
        [s.line for s in sentences],
    ]
    arrays = [pa.array(column, type=f.type) for column, f in zip(columns, _SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _sentences(table: pa.RecordBatch) -> Iterator[Sentence]:
    columns = (table.column(name).to_pylist() for name in _SCHEMA.names)
    for words, tags, document, line in zip(*columns, strict=True):
        yield Sentence(tuple(words), None if tags is None else tuple(tags), document, line)


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Counts from reading one split.

    Attributes:
        scheme: the scheme found ("BIO", "IOB1", …); tags are BIO after reading.
        repairs: tags that made an invalid sequence (an I- with nothing before it) and were read as a valid one.
        entities: number of entities by type, counted as conlleval counts them.
        first_repairs: lines of the first sentences with repairs.
        dropped_spans: spans of the whole file, a held-out part included, that were left out because they do not fall on
            word boundaries.
        first_dropped: the first of them, one line each.
    """

    path: str
    scheme: str
    sentences: int
    words: int
    documents: int
    repairs: int
    entities: dict[str, int]
    first_repairs: tuple[int, ...] = ()
    dropped_spans: int = 0
    first_dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Splits by name ("train", "valid", "test"), their labels, and what has to be said about them.

    Attributes:
        labels: "O", then "B-X", "I-X" for each type of the train split, both always.
        notes: sentences for the user: what was held out, converted, repaired or preferred.
    """

    name: str
    splits: dict[str, Split]
    reports: dict[str, SplitReport]
    labels: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
