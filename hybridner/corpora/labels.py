"""Names of the classes: "O", then "B-X" and "I-X" for each type of entity."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hybridner.errors import InputError
from hybridner.files.reading import LARGEST_JSON, read_text

_CONLL_ORDER = ("PER", "ORG", "LOC", "MISC")


def labels_of(types: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of entity ``types``: PER, ORG, LOC, MISC in this order if exactly those occur, else sorted."""
    names = set(types)
    ordered = _CONLL_ORDER if names == set(_CONLL_ORDER) else sorted(names)
    return ("O", *(f"{prefix}-{name}" for name in ordered for prefix in "BI"))


def check_labels(labels: Sequence[str], where: str) -> None:
    """Check that ``labels`` are "O" first and then "B-X" and "I-X" of each type.

    Raises:
        InputError: they are not; the message names the first wrong one.
    """
    if not labels or labels[0] != "O":
        raise InputError(f"{where}: the first label is {labels[0] if labels else 'missing'!r}, expected 'O'")
    counts = Counter(labels)
    for number, label in enumerate(labels[1:], 2):
        if label[:2] not in ("B-", "I-") or len(label) < 3:
            raise InputError(f"{where}: label {number} is {label!r}, expected 'B-TYPE' or 'I-TYPE'")
        if counts[label] > 1:
            raise InputError(f"{where}: label {label!r} appears twice")
        partner = ("I-" if label[0] == "B" else "B-") + label[2:]
        if partner not in counts:
            raise InputError(f"{where}: label {label!r} has no {partner!r}")


def read_labels(path: Path) -> tuple[str, ...]:
    """Read labels from a file, one per line.

    Raises:
        InputError: the file cannot be read, or contains something else.
    """
    labels = tuple(read_text(path, LARGEST_JSON).split())
    check_labels(labels, str(path))
    return labels
