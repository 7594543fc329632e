"""Sentences written as files that can be read again: columns, JSONL of words, JSONL of texts with spans."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Split, SplitReport
from hybridner.corpora.formats import DOCUMENT_ROW, PLAIN, ColumnFormat, begins_document
from hybridner.corpora.issues import Issues
from hybridner.corpora.read import count_of, read_split
from hybridner.corpora.schemes import Scheme, entity_spans, from_bio
from hybridner.corpora.sources import file_source, find_sources
from hybridner.corpora.spans import TextSpan, tag_text
from hybridner.errors import InputError

Form = Literal["conll", "jsonl", "spans"]
SUFFIX = {"conll": ".conll", "jsonl": ".jsonl", "spans": ".jsonl"}
_UNFIT = re.compile(r"[\t\n\r\0]|\A[ \ufeff]| \Z|\A\Z")  # a word that a row of columns would change
_LOSSES = {
    "entity": ("entities", "joined with a neighbour of the same type, as in IO"),
    "sentence": ("sentences", "will be cut into other words when the text is read"),
    "span": ("spans", "will not fall on word boundaries then (--misaligned drop)"),
}


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
        source: a file, or a corpus that :func:`hybridner.corpora.read.read_corpus` can read.
        destination: the file or folder to make.
        to: "conll" (a word, TAB and its tag per row, ``-DOCSTART-`` rows between documents), "jsonl" (words and tags),
            or "spans" (words joined by spaces, and the spans of entities).
        scheme: scheme of the written tags.
        columns: as in ``read_corpus``.
        misaligned: as in ``read_corpus``.

    Returns:
        Notes for the user: schemes, repairs, and losses of the new form.

    Raises:
        InputError: the source is not usable, or a word cannot be written in columns.
    """
    notes: list[str] = []
    if Path(source).is_file():
        split, report = read_split(*file_source(Path(source), columns, misaligned), notes)
        return notes + write_split(destination, split, report, to, scheme)
    read = {name: read_split(*found, notes) for name, found in find_sources(source, notes, columns, misaligned).items()}
    destination.mkdir()
    for name, (split, report) in read.items():
        notes += write_split(destination / f"{name}{SUFFIX[to]}", split, report, to, scheme)
    return notes


def write_split(path: Path, split: Split, report: SplitReport, to: Form, scheme: Scheme) -> list[str]:
    """Write the sentences of a split to one file.

    Returns:
        Losses of the form, as notes for the user.

    Raises:
        InputError: a word cannot be written in columns; the message names the place it was read from.
    """
    losses: Counter[str] = Counter()
    document = 0 if report.documents == 1 else -1
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentence in split:
            tags = from_bio(sentence.tags or (), scheme)
            if scheme == "IO":
                losses["entity"] += len(entity_spans(sentence.tags or ())) - len(entity_spans(tags))
            if to == "conll":
                file.write(f"{DOCUMENT_ROW}\tO\n\n" if sentence.document != document else "")
                file.write(_rows(sentence.words, tags, f"{report.path}:{sentence.line}"))
                document = sentence.document
                continue
            record: dict[str, Any] = {"words": sentence.words, "tags": tags}
            if to == "spans":
                record = _text(sentence.words, tags, losses)
            if to == "spans" or report.documents > 1:
                record["document"] = sentence.document
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return [
        f"{report.path}: {count_of(losses[noun], noun, plural)} {loss}"
        for noun, (plural, loss) in _LOSSES.items()
        if losses[noun]
    ]


def _rows(words: Sequence[str], tags: Sequence[str], where: str) -> str:
    for word in words:
        if _UNFIT.search(word) or begins_document(word):
            raise InputError(
                f"{where}: word {word!r:.60} cannot be written in columns, where it would be read as another; "
                "use --to jsonl"
            )
    return "".join(f"{word}\t{tag}\n" for word, tag in zip(words, tags, strict=True)) + "\n"


def _text(words: tuple[str, ...], tags: Sequence[str], losses: Counter[str]) -> dict[str, Any]:
    text = " ".join(words)
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    spans = [TextSpan(starts[first], starts[stop] - 1, kind) for kind, first, stop in entity_spans(tags)]
    issues = Issues()
    read_back = tag_text(text, spans, "", "drop", issues)
    losses["sentence"] += [found for found, _ in read_back] != [words]
    losses["span"] += issues.dropped
    return {"text": text, "spans": [span._asdict() for span in spans]}
