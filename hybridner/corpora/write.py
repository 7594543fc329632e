"""Sentences written as files that can be read again: columns, JSONL of words, JSONL of texts with spans."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence, Split, SplitReport
from hybridner.corpora.formats import DOCUMENT_ROW, PLAIN, ColumnFormat, begins_document
from hybridner.corpora.issues import Issues
from hybridner.corpora.read import count_of, read_split
from hybridner.corpora.schemes import Scheme, entity_spans, from_bio
from hybridner.corpora.sources import file_source, find_sources
from hybridner.corpora.spans import TextSpan, tag_text
from hybridner.errors import InputError

Form = Literal["conll", "jsonl", "spans"]
SUFFIX = {"conll": ".conll", "jsonl": ".jsonl", "spans": ".jsonl"}


def convert_corpus(
    source: str,
    destination: Path,
    to: Form,
    scheme: Scheme = "BIO",
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> list[str]:
    """Read a labelled file, or all splits of a corpus, and write them in another form.

    Args:
        source: a file, or what :func:`hybridner.corpora.read.read_corpus` takes.
        destination: the file, or the folder, to make.
        to: "conll" (a word, TAB and its tag a row, ``-DOCSTART-`` rows between documents), "jsonl" (words and tags),
            or "spans" (words joined by spaces, and the spans of entities).
        scheme: of the tags that are written.
        columns: where the word and its tag stand in ``source``, if it has columns.
        misaligned: what becomes of spans that do not fall on word boundaries.

    Returns:
        What has to be said: schemes, repairs, and what the new form cannot hold.

    Raises:
        InputError: the source is not usable, or a word cannot stand in columns.
    """
    notes: list[str] = []
    if Path(source).is_file():
        split, report = read_split(*file_source(Path(source), True, columns, misaligned), notes)
        return notes + write_split(destination, split, report, to, scheme)
    read = {name: read_split(*found, notes) for name, found in find_sources(source, notes, columns, misaligned).items()}
    destination.mkdir()
    for name, (split, report) in read.items():
        notes += write_split(destination / f"{name}{SUFFIX[to]}", split, report, to, scheme)
    return notes


def write_split(path: Path, split: Split, report: SplitReport, to: Form, scheme: Scheme) -> list[str]:
    """Write the sentences of a split as one file.

    Returns:
        What the file cannot hold, in sentences for the user.

    Raises:
        InputError: a word cannot stand in columns; the message names the place it was read from.
    """
    losses = _Losses()
    lines = _FORMS[to](_in_scheme(split, scheme, losses), report, losses)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    return [f"{report.path}: {loss}" for loss in losses.said()]


class _Losses:
    """Counts what a form cannot hold."""

    def __init__(self) -> None:
        self.joined = self.recut = self.misaligned = 0

    def said(self) -> Iterator[str]:
        if self.joined:
            yield f"{count_of(self.joined, 'entity', 'entities')} joined with a neighbour of the same type, as in IO"
        if self.recut:
            yield f"{count_of(self.recut, 'sentence')} will be cut into other words when the text is read"
        if self.misaligned:
            yield f"{count_of(self.misaligned, 'span')} will not fall on word boundaries then (--misaligned drop)"


def _in_scheme(split: Iterable[Sentence], scheme: Scheme, losses: _Losses) -> Iterator[Sentence]:
    for sentence in split:
        tags = from_bio(sentence.tags or (), scheme)
        if scheme == "IO":
            spans = entity_spans(sentence.tags or ())
            losses.joined += len(spans) - len(entity_spans(tags))
        yield Sentence(sentence.words, tags, sentence.document, sentence.line)


def _columns(sentences: Iterable[Sentence], report: SplitReport, _: _Losses) -> Iterator[str]:
    document = 0 if report.documents == 1 else -1
    for sentence in sentences:
        if sentence.document != document:
            document = sentence.document
            yield f"{DOCUMENT_ROW}\tO\n\n"
        for word, tag in zip(sentence.words, sentence.tags or (), strict=True):
            if not _fits_a_column(word):
                raise InputError(
                    f"{report.path}:{sentence.line}: word {word!r:.60} cannot stand in columns, where it would be read "
                    "as another; use --to jsonl"
                )
            yield f"{word}\t{tag}\n"
        yield "\n"


def _fits_a_column(word: str) -> bool:
    return (
        word == word.strip(" ") != ""
        and not any(character in word for character in "\t\n\r\0")
        and not begins_document(word)
        and not word.startswith("\ufeff")
    )


def _jsonl(sentences: Iterable[Sentence], report: SplitReport, _: _Losses) -> Iterator[str]:
    for sentence in sentences:
        record: dict[str, Any] = {"words": sentence.words, "tags": sentence.tags}
        if report.documents > 1:
            record["document"] = sentence.document
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _texts(sentences: Iterable[Sentence], report: SplitReport, losses: _Losses) -> Iterator[str]:
    for sentence in sentences:
        text = " ".join(sentence.words)
        starts = [0, *accumulate(len(word) + 1 for word in sentence.words)]
        spans = [
            TextSpan(starts[first], starts[stop] - 1, kind) for kind, first, stop in entity_spans(sentence.tags or ())
        ]
        issues = Issues()
        read_back = tag_text(text, spans, "", "drop", issues)
        losses.recut += [words for words, _ in read_back] != [sentence.words]
        losses.misaligned += issues.dropped
        record = {"text": text, "spans": [span._asdict() for span in spans], "document": sentence.document}
        yield json.dumps(record, ensure_ascii=False) + "\n"


_FORMS: dict[Form, Callable[[Iterable[Sentence], SplitReport, _Losses], Iterator[str]]] = {
    "conll": _columns,
    "jsonl": _jsonl,
    "spans": _texts,
}
