"""Labelled files as users have them: columns, TSV and JSONL, read a sentence at a time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybridner.data.corpus import Sentence
from hybridner.data.schemes import check_tag
from hybridner.errors import InputError

SUFFIXES = (".txt", ".conll", ".tsv", ".jsonl", ".iob2")
_DOCUMENT = "-DOCSTART-"
_WORDS, _TAGS = ("words", "tokens"), ("tags", "ner_tags", "labels")


def read_sentences(path: Path, labelled: bool = True) -> Iterator[Sentence]:
    """The sentences of a file with their tags as they stand there.

    Columns are split on spaces; on TAB alone in a ``.tsv`` file and where the first row that is no ``-DOCSTART-``
    holds one. The word is the first and the tag the last. Only ASCII white space splits: U+00A0 or a
    zero-width space belongs to its word. Blank lines end sentences, ``-DOCSTART-`` rows begin documents.

    A ``.jsonl`` file holds a sentence a line: ``{"words": [...], "tags": [...]}``, and "document" if it has any; a
    document begins wherever that value is not the line before's.

    Args:
        path: the file.
        labelled: whether tags are required; without, a word alone in its row will do.

    Raises:
        InputError: the file cannot be read or breaks its format; the message names file and line.
    """
    return (_jsonl if path.suffix.lower() == ".jsonl" else _columns)(path, labelled)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines; only LF and CRLF end one, so that rare separators inside a word survive."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}:{number}: not UTF-8 (byte {error.start}); save the file as UTF-8"
                    ) from error
                yield number, line.rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _columns(path: Path, labelled: bool) -> Iterator[Sentence]:
    words: list[str] = []
    tags: list[str] = []
    document, document_has_words, first = 0, False, 1
    tab = True if path.suffix.lower() == ".tsv" else None

    def sentence() -> Sentence:
        return Sentence(tuple(words), tuple(tags) if labelled else None, document, first)

    for number, line in _lines(path):
        if "\r" in line:
            raise InputError(f"{path}:{number}: a CR inside a line; save the file with lines that end in LF or CRLF")
        begins_document = line.replace("\t", " ").split(" ", 1)[0] == _DOCUMENT
        if begins_document or not line.strip(" \t"):
            if words:
                yield sentence()
                document_has_words, words, tags = True, [], []
            if begins_document:
                document, document_has_words = document + document_has_words, False
            continue
        if tab is None:
            tab = "\t" in line
        if "\t" in line and not tab:
            raise InputError(
                f"{path}:{number}: a TAB, where rows before have none ({line!r}); use TABs in every row or in none"
            )
        row = [field.strip(" ") for field in line.split("\t")] if tab else [field for field in line.split(" ") if field]
        if len(row) < (2 if labelled else 1) or not row[0]:
            raise InputError(
                f"{path}:{number}: a row of {len(row)} column{'s' * (len(row) != 1)} ({line!r}); expected a word "
                f"first{' and its tag last' * labelled}, split by {'TABs' if tab else 'spaces'}"
            )
        if not words:
            first = number
        words.append(row[0])
        if labelled:
            check_tag(row[-1], f"{path}:{number}")
            tags.append(row[-1])
    if words:
        yield sentence()


def _jsonl(path: Path, labelled: bool) -> Iterator[Sentence]:
    document, previous = -1, object()
    for number, line in _lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON ({error}); expected one object a line") from error
        if not isinstance(record, dict):
            raise InputError(f"{where}: expected an object with 'words' and 'tags'")
        words = _strings(record, _WORDS, where)
        if not words:
            raise InputError(f"{where}: a sentence of 0 words; take the line out")
        tags = _strings(record, _TAGS, where) if labelled else None
        if tags is not None and len(tags) != len(words):
            raise InputError(f"{where}: {len(words)} words and {len(tags)} tags; expected as many of each")
        for tag in tags or ():
            check_tag(tag, where)
        if record.get("document") != previous:
            document, previous = document + 1, record.get("document")
        yield Sentence(words, tags, document, number)


def _strings(record: dict[str, Any], names: tuple[str, ...], where: str) -> tuple[str, ...]:
    for name in names:
        if name in record:
            value = record[name]
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InputError(f"{where}: {name!r} is not a list of strings")
            try:
                "".join(value).encode()
            except UnicodeEncodeError as error:
                raise InputError(f"{where}: {name!r} holds half a surrogate pair, which is no character") from error
            return tuple(value)
    raise InputError(f"{where}: no {' or '.join(map(repr, names))}; there are {', '.join(map(repr, record)) or 'none'}")
