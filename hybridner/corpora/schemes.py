"""Tagging schemes: IOB1, BIO (IOB2), BIOES, BILOU and IO are told apart and turned into BIO.

| scheme | an entity of one word | of several words | next to another of its type |
|---|---|---|---|
| IOB1 (Ramshaw and Marcus 1995) | I | I I | B I |
| BIO, IOB2 | B | B I | B I |
| BIOES | S | B I E | B I E |
| BILOU | U | B I L | B I L |
| IO | I | I I | cannot be told from one entity |
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from hybridner.errors import InputError

_TAG = re.compile(r"O|[BIESLU]-[^\s\ud800-\udfff]+")  # half a surrogate pair is no character
_LAST_PREFIXES = {"E": "BIOES", "S": "BIOES", "L": "BILOU", "U": "BILOU"}
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
    """Finds the scheme of a file from its sentences, one at a time.

    In IOB1 a B- stands only right after a word of its own type, in BIO at the start of every entity; so one B- that
    follows something else makes a file BIO, and its stray I- are mistakes to be repaired.
    """

    def __init__(self) -> None:
        self._prefixes: Counter[str] = Counter()
        self._first_of: dict[str, str] = {}
        self._begins = False
        self._starts_inside = False

    def add(self, tags: Sequence[str], where: str) -> None:
        """Look at the tags of a sentence, which stands at ``where``."""
        before = "O"
        for tag in tags:
            prefix, _, kind = tag.partition("-")
            self._prefixes[prefix] += 1
            self._first_of.setdefault(prefix, where)
            if prefix == "B" and before.partition("-")[2] != kind:
                self._begins = True
            if prefix == "I" and before.partition("-")[2] != kind:
                self._starts_inside = True
            before = tag

    def scheme(self) -> str:
        """Name the scheme of all tags added; BIO if there is no entity.

        Raises:
            InputError: prefixes that do not belong to one scheme.
        """
        found = {_LAST_PREFIXES[p]: p for p in self._prefixes if p in _LAST_PREFIXES}
        if len(found) > 1:
            (_, a), (_, b) = sorted(found.items())
            raise InputError(
                f"{self._first_of[b]}: tag {b}- beside {a}- ({self._first_of[a]}): BIOES or BILOU, not both"
            )
        if found:
            return next(iter(found))
        if self._begins or not self._starts_inside:
            return "BIO"
        return "IOB1" if self._prefixes["B"] else "IO"


def to_bio(tags: Sequence[str], scheme: str) -> tuple[tuple[str, ...], int]:
    """Convert tags to BIO, and count the repairs.

    A tag that continues an entity where none of its type is open starts a new one: IOB1 and IO mean that by it,
    elsewhere it is a repair. In BIOES and BILOU, a B- or I- that nothing continues is a repair too: its entity ends
    there.
    """
    result: list[str] = []
    repairs = 0
    open_type = ""
    marks_ends = scheme in _END_AND_SINGLE
    for i, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "O":
            result.append("O")
            open_type = ""
            continue
        goes_on = prefix in "IEL" and open_type == kind
        strays = prefix in "IEL" and not goes_on and scheme not in ("IOB1", "IO")
        stays_open = marks_ends and prefix in "BI" and not _goes_on_with(tags[i + 1 : i + 2], kind)
        repairs += strays or stays_open
        result.append(("I-" if goes_on else "B-") + kind)
        open_type = "" if prefix in "ESLU" else kind
    return tuple(result), repairs


def _goes_on_with(following: Sequence[str], kind: str) -> bool:
    return any(tag[0] in "IEL" and tag[2:] == kind for tag in following)


def from_bio(tags: Sequence[str], scheme: str) -> tuple[str, ...]:
    """BIO tags written in another scheme; in IO, neighbours of one type become one entity.

    Args:
        tags: valid BIO.
        scheme: one of :data:`SCHEMES`.
    """
    result = list(tags)
    spans = entity_spans(tags)
    end_and_single = _END_AND_SINGLE.get(scheme)
    for number, (kind, start, stop) in enumerate(spans):
        if end_and_single:
            result[stop - 1] = f"{end_and_single[stop - start == 1]}-{kind}"
        elif scheme == "IO" or (scheme == "IOB1" and (number == 0 or spans[number - 1][::2] != (kind, start))):
            result[start] = f"I-{kind}"
    return tuple(result)


def entity_spans(tags: Sequence[str]) -> list[Span]:
    """Entities in BIO tags as conlleval counts them: ``(type, first word, word after the last)``.

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
