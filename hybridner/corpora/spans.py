"""Entities given as character spans of a text, turned into tags of its words."""

import re
from bisect import bisect_left, bisect_right
from itertools import islice, pairwise
from typing import Any, NamedTuple

from hybridner.config.choices import Misaligned
from hybridner.corpora.issues import Issues
from hybridner.errors import InputError
from hybridner.text.words import split_sentences, split_words

_LABEL = re.compile(r"[^\s\ud800-\udfff]+")  # half a surrogate pair is no character
Tagged = tuple[tuple[str, ...], tuple[str, ...]]  # words and BIO tags of a sentence


class TextSpan(NamedTuple):
    """An entity: characters ``start`` to ``end`` (exclusive) of a text, and its type."""

    start: int
    end: int
    label: str


def parse_spans(value: Any, text: str, where: str) -> list[TextSpan]:
    """Read the spans of ``text`` from a list of ``{"start": …, "end": …, "label": …}`` or ``[start, end, label]``.

    Return them from left to right. ``where`` names file, line and key in messages.

    Raises:
        InputError: a span has another shape, is empty, leaves the text or overlaps with another.
    """
    if not isinstance(value, list):
        raise InputError(f"{where} is not a list of spans")
    spans = sorted(_parse(item, text, where) for item in value)
    for left, right in pairwise(spans):
        if right.start < left.end:
            raise InputError(
                f"{where}: {_shown(left, text)} and {_shown(right, text)} overlap; a word has one tag, keep one of them"
            )
    return spans


def _parse(item: Any, text: str, where: str) -> TextSpan:
    fields = [item.get(name) for name in TextSpan._fields] if isinstance(item, dict) else item
    if not isinstance(fields, list) or [*map(type, fields)] != [int, int, str] or not _LABEL.fullmatch(fields[2]):
        raise InputError(
            f"{where}: {item!r:.80} is no span; expected a start and an end, in whole characters, and a label without "
            "white space, such as PER"
        )
    span = TextSpan(*fields)
    if not 0 <= span.start < span.end <= len(text):
        raise InputError(f"{where}: {_shown(span, text)} is empty or leaves the text of {len(text)} characters")
    return span


def tag_text(text: str, spans: list[TextSpan], where: str, misaligned: Misaligned, issues: Issues) -> list[Tagged]:
    """Return the words and BIO tags of the sentences of ``text``, cut as in prediction.

    Sentences between which a span would be divided become one. ``spans`` are in order and do not overlap.

    Raises:
        InputError: a span does not fall on word boundaries, unless ``misaligned`` is "drop", which drops it.
    """
    sentences = [words for start, end in _sentences(text, spans) if (words := split_words(text[start:end], start))]
    words = [word for sentence in sentences for word in sentence]
    first_at = {word.start: i for i, word in enumerate(words)}
    last_at = {word.end: i for i, word in enumerate(words)}
    tags = ["O"] * len(words)
    for span in spans:
        first, last = first_at.get(span.start), last_at.get(span.end)
        if first is not None and last is not None:
            tags[first : last + 1] = [f"B-{span.label}", *[f"I-{span.label}"] * (last - first)]
            continue
        # The first and the last word that the span touches; if it touches none, those before and after it.
        touched = {
            bisect_right([word.end for word in words], span.start),
            bisect_left([word.start for word in words], span.end) - 1,
        }
        nearest = [words[i] for i in sorted(touched) if 0 <= i < len(words)]
        near = ", ".join(f"{word.text!r:.40} {word.start}:{word.end}" for word in nearest) or "none"
        problem = f"{where}: {_shown(span, text)} does not fall on word boundaries; the nearest words: {near}"
        if misaligned == "error":
            raise InputError(f"{problem}; correct the span, or leave such spans out with --misaligned drop")
        issues.drop(problem)
    rest = iter(tags)
    return [(tuple(word.text for word in sentence), tuple(islice(rest, len(sentence)))) for sentence in sentences]


def _shown(span: TextSpan, text: str) -> str:
    return f"span {span.start}:{span.end} {text[span.start : span.end]!r:.80} ({span.label})"


def _sentences(text: str, spans: list[TextSpan]) -> list[tuple[int, int]]:
    """Find the sentences of ``text``, joined where a span reaches from one into the next."""
    joined: list[tuple[int, int]] = []
    for start, end in split_sentences(text):
        # The last span that begins before this sentence is the only one that can reach into it.
        before = bisect_left(spans, (start,)) - 1
        if joined and before >= 0 and spans[before].end > start:
            start, _ = joined.pop()
        joined.append((start, end))
    return joined
