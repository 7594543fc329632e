"""Output for programs: JSONL, CoNLL columns, or one entity per line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import pairwise

import regex

from hybridner.corpora.formats import DOCUMENT_ROW
from hybridner.errors import InputError
from hybridner.tagging.inputs import TextRecord
from hybridner.tagging.tagger import TaggedText

Results = Iterable[tuple[TextRecord, TaggedText]]
REPLACED = ("words", "tags", "entities")
_BREAK = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}]+")


def jsonl(results: Results) -> Iterator[str]:
    """Write one object per text: carried keys, text, words with offsets, tags and entities with scores."""
    for record, tagged in results:
        carried = {key: value for key, value in record.carried.items() if key not in REPLACED}
        words, entities = [word._asdict() for word in tagged.words], [asdict(entity) for entity in tagged.entities]
        found = {"text": tagged.text, "words": words, "tags": tagged.tags, "entities": entities}
        yield json.dumps({**carried, **found}, ensure_ascii=False) + "\n"


def conll(results: Results) -> Iterator[str]:
    """Write one row per word: the word, a TAB and its tag, and a blank line after each sentence.

    A ``-DOCSTART-`` row separates documents that were read from columns.

    Raises:
        InputError: columns cannot represent a word.
    """
    document = None
    for record, tagged in results:
        if document is not None and record.document not in (None, document):
            yield f"{DOCUMENT_ROW}\tO\n\n"
        document = record.document
        rows = []
        for word, tag in zip(tagged.words, tagged.tags, strict=True):
            if not word.text.strip(" ") or word.text == DOCUMENT_ROW or any(c in word.text for c in "\t\r\n\0"):
                raise InputError(f"word {word.text!r} cannot be written in columns; choose --format jsonl")
            rows.append(f"{word.text}\t{tag}\n")
        for start, end in pairwise([0, *tagged.sentence_ends]):
            yield "".join(rows[start:end]) + "\n"


def text(results: Results) -> Iterator[str]:
    """Write one line per entity: type, text, start, end and score, TAB-separated; line breaks become spaces."""
    for _, tagged in results:
        for entity in tagged.entities:
            shown = _BREAK.sub(" ", entity.text)
            yield f"{entity.label}\t{shown}\t{entity.start}\t{entity.end}\t{entity.score:.3f}\n"
