"""Names of the classes: "O", then "B-X" and "I-X" for each type of entity."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hybridner.errors import InputError

_CONLL_ORDER = ("PER", "ORG", "LOC", "MISC")


def labels_of(types: Iterable[str]) -> tuple[str, ...]:
    """Labels for entity ``types``: PER, ORG, LOC, MISC in this order if they are exactly those, else sorted."""
    names = set(types)
    ordered = _CONLL_ORDER if names == set(_CONLL_ORDER) else sorted(names)
    return ("O", *(f"{prefix}-{name}" for name in ordered for prefix in "BI"))


def check_labels(labels: Sequence[str], where: str) -> None:
    """Check that ``labels`` are "O" first and then "B-X" and "I-X" of each type.

    Raises:
        InputError: they are not; the message names the first that is wrong.
    """
    if not labels or labels[0] != "O":
        raise InputError(f"{where}: the first label is {labels[0] if labels else 'missing'!r}, expected 'O'")
    known, seen = set(labels), {labels[0]}
    for number, label in enumerate(labels[1:], 2):
        if label[:2] not in ("B-", "I-") or len(label) < 3:
            raise InputError(f"{where}: label {number} is {label!r}, expected 'B-TYPE' or 'I-TYPE'")
        if label in seen:
            raise InputError(f"{where}: label {label!r} stands twice")
        seen.add(label)
        partner = ("I-" if label[0] == "B" else "B-") + label[2:]
        if partner not in known:
            raise InputError(f"{where}: label {label!r} has no {partner!r} beside it")


def read_labels(path: Path) -> tuple[str, ...]:
    """Labels from a file, one a line.

    Raises:
        InputError: the file cannot be read, or they are not labels.
    """
    try:
        labels = tuple(path.read_text(encoding="utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    check_labels(labels, str(path))
    return labels
