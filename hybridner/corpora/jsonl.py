"""JSONL: one object per line, either words with their tags or a text with the spans of its entities.

- ``{"words": [...], "tags": [...]}`` is a sentence; "tokens", "ner_tags" and "labels" are understood too.
- ``{"text": "...", "spans": [...]}`` is a text of any number of sentences; "entities" is understood too. A span is
  ``{"start": 0, "end": 4, "label": "PER"}`` or ``[0, 4, "PER"]``, in characters, the end exclusive.

Either may have a "document": a document begins at each line whose value differs from the line before. A text without it
is a document by itself. An "id" must be unique.
"""

import json
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.schemes import check_tag
from hybridner.corpora.spans import Tagged, parse_spans, tag_text
from hybridner.errors import InputError
from hybridner.files.reading import parse_object

WORDS, TAGS, DOCUMENT = ("words", "tokens"), ("ner_tags", "tags", "labels"), "document"
_SPANS = ("spans", "entities")
Row = TypeVar("Row")


def parse_line(line: str, where: str) -> dict[str, Any] | None:
    """Parse the object on a line; return None for a blank line."""
    return parse_object(line, where, " with 'words' and 'tags', or 'text' and 'spans'") if line.strip() else None


def read_records(
    path: str,
    rows: Iterable[tuple[int, Row]],
    parse: Callable[[Row, str], dict[str, Any] | None],
    misaligned: Misaligned,
    issues: Issues,
) -> Iterator[Sentence]:
    """Read the sentences of records: the numbered lines of a JSONL file, or rows of a table; ``path`` names it.

    ``parse`` receives a row and its name for messages, and returns its record, or None to skip it. The other arguments
    are those of :func:`hybridner.corpora.formats.read_sentences`.

    Raises:
        InputError: a row breaks the format, or an id appears twice.
    """
    document, previous = -1, object()
    hashes, numbers = array("q"), array("q")
    for number, row in rows:
        where = f"{path}:{number}"
        try:
            record = parse(row, where)
            if record is None:
                continue
            sentences, key = _tagged(record, where, misaligned, issues)
        except InputError as error:
            issues.add(error)
            continue
        if record.get("id") is not None:
            hashes.append(hash(json.dumps(record["id"], sort_keys=True)))
            numbers.append(number)
        if key != previous:
            document, previous = document + 1, key
        for words, tags in sentences:
            yield Sentence(words, tags, document, number)
    _, first, inverse = np.unique(np.array(hashes), return_index=True, return_inverse=True)
    for second in np.flatnonzero(first[inverse] < np.arange(len(hashes))).tolist():
        line = numbers[first[inverse[second]]]
        issues.add(InputError(f"{path}:{numbers[second]}: its id appears on line {line} already; make it unique"))


def find_key(keys: Collection[str], names: tuple[str, ...], where: str) -> str:
    """Return the first of ``names`` in ``keys``.

    Raises:
        InputError: there is none.
    """
    for name in names:
        if name in keys:
            return name
    raise InputError(f"{where}: no {' or '.join(map(repr, names))}; there are {', '.join(map(repr, keys)) or 'none'}")


def _tagged(record: dict[str, Any], where: str, misaligned: Misaligned, issues: Issues) -> tuple[list[Tagged], Any]:
    """Return the sentences of a record, and a value that changes where a document begins."""
    text, key = record.get("text"), record.get(DOCUMENT)
    # Words that are strings win over the text; words with offsets do not.
    if "text" not in record or _are_strings(next((record[name] for name in WORDS if name in record), None)):
        sentences = [_words(record, where)]
    else:
        if not isinstance(text, str):
            raise InputError(f"{where}: 'text' is not a string")
        name = find_key(record, _SPANS, where)
        spans = parse_spans(record[name], text, f"{where}: {name!r}")
        sentences = tag_text(text, spans, where, misaligned, issues)
        key = object() if key is None else key
    if not any(words for words, _ in sentences):
        raise InputError(f"{where}: no word in it; take the line out")
    try:
        "".join(word for words, _ in sentences for word in words).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: half a surrogate pair, which is no character") from error
    return sentences, key


def _words(record: dict[str, Any], where: str) -> Tagged:
    words, tags = _strings(record, WORDS, where), _strings(record, TAGS, where)
    if len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} words and {len(tags)} tags; expected as many of each")
    for tag in tags:
        check_tag(tag, where)
    return words, tags


def _strings(record: dict[str, Any], names: tuple[str, ...], where: str) -> tuple[str, ...]:
    name = find_key(record, names, where)
    if not _are_strings(record[name]):
        raise InputError(f"{where}: {name!r} is not a list of strings")
    return tuple(record[name])


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
