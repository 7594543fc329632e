"""JSONL: an object a line, either words with their tags or a text with the spans of its entities.

- ``{"words": [...], "tags": [...]}`` is a sentence; "tokens", "ner_tags" and "labels" are understood too.
- ``{"text": "...", "spans": [...]}`` is a text of any number of sentences; "entities" is understood too. A span is
  ``{"start": 0, "end": 4, "label": "PER"}`` or ``[0, 4, "PER"]``, in characters, the end exclusive.

Either may hold a "document": one begins wherever that value is not the line before's. A text without it is a document
by itself. An "id" stands once.
"""

import json
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.schemes import check_tag
from hybridner.corpora.spans import parse_spans, tag_text
from hybridner.errors import InputError

_WORDS, _TAGS, _TEXT, _SPANS = ("words", "tokens"), ("tags", "ner_tags", "labels"), "text", ("spans", "entities")
_NONE = object()
_DEEPEST = 100  # far from where comparing, hashing or writing a value again would run out of stack
Tagged = tuple[tuple[str, ...], tuple[str, ...] | None]


def read_jsonl(
    path: Path, lines: Iterator[tuple[int, str]], labelled: bool, misaligned: Misaligned, issues: Issues
) -> Iterator[Sentence]:
    """Read sentences from numbered ``lines``, the lines of ``path``.

    Raises:
        InputError: a line that breaks the format, or an id that stands twice.
    """
    document, previous = -1, _NONE
    ids = _Ids()
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = parse_object(line, where, "'words' and 'tags', or 'text' and 'spans'")
            ids.add(record.get("id"), number)
            is_text = _is_text(record)
            sentences = (_text if is_text else _words)(record, where, labelled, misaligned, issues)
        except InputError as error:
            issues.add(error)
            continue
        key = record.get("document")
        if key is None and is_text:
            key = _NONE
        if key != previous or key is _NONE:
            document, previous = document + 1, key
        for words, tags in sentences:
            yield Sentence(words, tags, document, number)
    for first, second in ids.twice():
        issues.add(InputError(f"{path}:{second}: its id stands on line {first} already; give each line its own"))


def parse_object(line: str, where: str, keys: str) -> dict[str, Any]:
    """Parse the JSON object on a line; ``keys`` names the keys that it needs, for the message.

    Raises:
        InputError: it is something else, or nests too deep.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); expected one object a line") from error
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected an object with {keys}")
    if line.count("[") + line.count("{") > _DEEPEST and _depth(record) > _DEEPEST:
        raise InputError(f"{where}: nests more than {_DEEPEST} deep; expected an object with {keys}")
    return record


def _depth(value: Any) -> int:
    """Count how deep lists and objects are nested."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (list, dict))]:
        depth += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return depth


def _is_text(record: dict[str, Any]) -> bool:
    """Decide whether to read text and spans; words that are strings come first, words with offsets after the text."""
    words = next((record[name] for name in _WORDS if name in record), None)
    if _TEXT not in record or (words is not None and not any(name in record for name in _SPANS)):
        return False
    return not (isinstance(words, list) and all(isinstance(word, str) for word in words))


def _words(record: dict[str, Any], where: str, labelled: bool, *_: Any) -> list[Tagged]:
    words = _strings(record, _WORDS, where)
    if not words:
        raise InputError(f"{where}: a sentence of 0 words; take the line out")
    tags = _strings(record, _TAGS, where) if labelled else None
    if tags is not None and len(tags) != len(words):
        raise InputError(f"{where}: {len(words)} words and {len(tags)} tags; expected as many of each")
    for tag in tags or ():
        check_tag(tag, where)
    return [(words, tags)]


def _text(record: dict[str, Any], where: str, labelled: bool, misaligned: Misaligned, issues: Issues) -> list[Tagged]:
    text = record[_TEXT]
    if not isinstance(text, str):
        raise InputError(f"{where}: {_TEXT!r} is not a string")
    _check_characters([text], _TEXT, where)
    spans = []
    if labelled:
        name = next((name for name in _SPANS if name in record), None)
        if name is None:
            raise _missing(record, _SPANS, where)
        spans = parse_spans(record[name], text, f"{where}: {name!r}")
    sentences = tag_text(text, spans, where, misaligned, issues)
    if not sentences:
        raise InputError(f"{where}: a text of 0 words; take the line out")
    return [(words, tags if labelled else None) for words, tags in sentences]


def _strings(record: dict[str, Any], names: tuple[str, ...], where: str) -> tuple[str, ...]:
    for name in names:
        if name in record:
            value = record[name]
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InputError(f"{where}: {name!r} is not a list of strings")
            _check_characters(value, name, where)
            return tuple(value)
    raise _missing(record, names, where)


def _check_characters(strings: list[str], name: str, where: str) -> None:
    try:
        "".join(strings).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: {name!r} holds half a surrogate pair, which is no character") from error


def _missing(record: dict[str, Any], names: tuple[str, ...], where: str) -> InputError:
    there = ", ".join(map(repr, record)) or "none"
    return InputError(f"{where}: no {' or '.join(map(repr, names))}; there are {there}")


class _Ids:
    """Finds ids that stand twice, with 16 bytes a line."""

    def __init__(self) -> None:
        self._hashes, self._lines = array("q"), array("q")

    def add(self, value: Any, line: int) -> None:
        """Take the id of a line; None is none."""
        if value is not None:
            digest = blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).digest()
            self._hashes.append(int.from_bytes(digest, "little", signed=True))
            self._lines.append(line)

    def twice(self) -> Iterator[tuple[int, int]]:
        """Pairs of lines with the same id, by the second one's place."""
        hashes, lines = np.array(self._hashes, np.int64), np.array(self._lines, np.int64)
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        pairs = np.stack([lines[order[same]], lines[order[same + 1]]], 1)
        yield from sorted(pairs.tolist(), key=lambda pair: pair[1])
