"""A corpus after reading: sentences of words with BIO tags, in splits kept on disk."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from tempfile import TemporaryFile
from weakref import finalize

import pyarrow as pa

_STRINGS = pa.list_(pa.string())
_SCHEMA = pa.schema({"words": _STRINGS, "tags": _STRINGS, "document": pa.int32(), "line": pa.int64()})
_ROWS_PER_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a corpus.

    Attributes:
        words: the words as the file spells them.
        tags: one BIO (IOB2) tag per word, or None where the text is not labelled.
        document: number of its document, from 0; sentences of one document are adjacent.
        line: the line where it starts in its file, from 1 (for JSONL its line, for a table its row).
    """

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    document: int = 0
    line: int = 0


class Split:
    """Sentences in an unnamed Arrow file, written and read some thousands at a time.

    Memory use does not grow with their number, and a killed process leaves no file behind. An index gives a
    :class:`Sentence`; iteration goes in file order.
    """

    def __init__(self, sentences: Iterable[Sentence]) -> None:
        stream = iter(sentences)
        self._length = 0
        with ExitStack() as opened:
            file = opened.enter_context(TemporaryFile())
            with pa.ipc.new_file(pa.PythonFile(file, "w"), _SCHEMA) as writer:
                while chunk := list(islice(stream, _ROWS_PER_CHUNK)):
                    columns = {name: [getattr(sentence, name) for sentence in chunk] for name in _SCHEMA.names}
                    writer.write_batch(pa.RecordBatch.from_pydict(columns, _SCHEMA))
                    self._length += len(chunk)
            self._file = pa.ipc.open_file(pa.PythonFile(file, "r"))
            finalize(self, opened.pop_all().close)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Sentence:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sentence {index} of {len(self)}")
        chunk, row = divmod(index % len(self), _ROWS_PER_CHUNK)
        return next(_sentences(self._file.get_batch(chunk).slice(row, 1)))

    def __iter__(self) -> Iterator[Sentence]:
        for chunk in range(self._file.num_record_batches):
            yield from _sentences(self._file.get_batch(chunk))

    def digest(self) -> str:
        """Compute the hexadecimal SHA-256 of the words, tags and document numbers of all sentences."""
        total = hashlib.sha256()
        for sentence in self:
            total.update(json.dumps([sentence.words, sentence.tags, sentence.document]).encode())
        return total.hexdigest()


def _sentences(batch: pa.RecordBatch) -> Iterator[Sentence]:
    for words, tags, document, line in zip(*batch.to_pydict().values(), strict=True):
        yield Sentence(tuple(words), None if tags is None else tuple(tags), document, line)


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Counts from reading one split.

    Attributes:
        scheme: the detected scheme ("BIO", "IOB1", …); tags are BIO after reading.
        repairs: tags repaired because they made an invalid sequence (an I- with nothing before it).
        entities: number of entities by type, as conlleval counts them.
        first_repairs: lines of the first sentences with repairs.
        dropped_spans: spans of the whole file, a held-out part included, left out because they do not fall on word
            boundaries.
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
    """Splits by name ("train", "valid", "test"), their labels, and notes about them.

    Attributes:
        labels: "O", then both "B-X" and "I-X" for each type of the train split.
        notes: sentences for the user about held-out, converted, repaired or preferred data.
    """

    name: str
    splits: dict[str, Split]
    reports: dict[str, SplitReport]
    labels: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
