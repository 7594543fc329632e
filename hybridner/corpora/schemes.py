"""Tagging schemes: recognition of IOB1, BIO (IOB2), BIOES, BILOU and IO, and conversion from and to BIO.

| scheme | an entity of one word | of several words | next to another of its type |
|---|---|---|---|
| IOB1 (Ramshaw and Marcus 1995) | I | I I | B I |
| BIO, IOB2 | B | B I | B I |
| BIOES | S | B I E | B I E |
| BILOU | U | B I L | B I L |
| IO | I | I I | looks like one entity |
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from hybridner.errors import InputError

_TAG = re.compile(r"O|[BIESLU]-[^\s\ud800-\udfff]+")  # half a surrogate pair is no character
_END_AND_SINGLE = {"BIOES": "ES", "BILOU": "LU"}
Scheme = Literal["BIO", "IOB1", "BIOES", "BILOU", "IO"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
Span = tuple[str, int, int]


def check_tag(tag: str, where: str) -> None:
    """Check the shape of a tag.

    Raises:
        InputError: it is neither "O" nor a prefix, a hyphen and a type; the message names ``where``.
    """
    if not _TAG.fullmatch(tag):
        raise InputError(f"{where}: tag {tag!r}; expected O, or B-TYPE or I-TYPE (or E-, S-, L-, U-), such as B-PER")


class SchemeDetector:
    """Detector of a file's scheme, which receives one sentence at a time.

    In IOB1 a B- appears only right after a word of its own type, in BIO at the start of every entity. So one B- that
    follows anything else makes a file BIO, and its stray I- are mistakes to repair.
    """

    def __init__(self) -> None:
        self._first_of: dict[str, str] = {}  # by prefix
        self._starters: set[str] = set()  # prefixes that follow a word of another type, or none

    def add(self, tags: Sequence[str], where: str) -> None:
        """Read the tags of a sentence at ``where``."""
        before = ""
        for tag in tags:
            prefix, _, kind = tag.partition("-")
            self._first_of.setdefault(prefix, where)
            if kind != before:
                self._starters.add(prefix)
            before = kind

    def scheme(self) -> str:
        """Name the scheme of all tags added; BIO if there is no entity.

        Raises:
            InputError: the file mixes prefixes of BIOES and BILOU.
        """
        found = {name: p for p in self._first_of for name, prefixes in _END_AND_SINGLE.items() if p in prefixes}
        if len(found) == 2:
            a, b = found["BIOES"], found["BILOU"]
            raise InputError(
                f"{self._first_of[b]}: tag {b}-, but {a}- at {self._first_of[a]}; use BIOES or BILOU, not both"
            )
        if found:
            return next(iter(found))
        if "B" in self._starters or "I" not in self._starters:
            return "BIO"
        return "IOB1" if "B" in self._first_of else "IO"


def to_bio(tags: Sequence[str], scheme: str) -> tuple[tuple[str, ...], int]:
    """Convert tags to BIO, and count the repairs.

    A tag that continues an entity, where none of its type is open, starts a new one: IOB1 and IO mean that by it, in
    the other schemes it is a repair. In BIOES and BILOU, a B- or I- that no tag continues is a repair too: its entity
    ends there.
    """
    result: list[str] = []
    repairs = 0
    open_type = ""
    for tag, following in pairwise([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        continues = prefix in "IEL" and kind == open_type
        is_stray = prefix in "IEL" and not continues and scheme not in ("IOB1", "IO")
        has_next = following[0] in "IEL" and following[2:] == kind
        repairs += is_stray or (prefix in "BI" and not has_next and scheme in _END_AND_SINGLE)
        result.append("O" if prefix == "O" else ("I-" if continues else "B-") + kind)
        open_type = "" if prefix in "ESLU" else kind
    return tuple(result), repairs


def from_bio(tags: Sequence[str], scheme: str) -> tuple[str, ...]:
    """Convert valid BIO tags to one of :data:`SCHEMES`; in IO, neighbours of one type become one entity."""
    result = list(tags)
    before = None
    for kind, start, stop in entity_spans(tags):
        if scheme in _END_AND_SINGLE:
            result[stop - 1] = f"{_END_AND_SINGLE[scheme][stop - start == 1]}-{kind}"
        elif scheme == "IO" or (scheme == "IOB1" and before != (kind, start)):
            result[start] = f"I-{kind}"
        before = kind, stop
    return tuple(result)


def entity_spans(tags: Sequence[str]) -> list[Span]:
    """List the entities in BIO tags as conlleval counts them: ``(type, first word, word after the last)``.

    An I- that continues no open entity of its type starts one.
    """
    spans: list[Span] = []
    kind, start = "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, this = tag.partition("-")
        if kind and (prefix != "I" or this != kind):
            spans.append((kind, start, i))
            kind = ""
        if prefix != "O" and not kind:
            kind, start = this, i
    return spans


def invalid_transitions(tags: Sequence[str]) -> int:
    """Count I- tags that continue no entity of their type."""
    return to_bio(tags, "BIO")[1]
