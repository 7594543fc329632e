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


def bioes_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return "O", then "B-X", "I-X", "E-X" and "S-X" for each type X of BIO ``labels``, in the same order."""
    return ("O", *(f"{prefix}-{label[2:]}" for label in labels if label.startswith("B-") for prefix in "BIES"))


def is_bioes(labels: Iterable[str]) -> bool:
    """Test for BIOES labels, which unlike BIO contain E- or S-."""
    return any(label[:2] in ("E-", "S-") for label in labels)


def check_labels(labels: Sequence[str], where: str) -> None:
    """Check that ``labels`` are "O" first and then "B-X" and "I-X" of each type, or those of :func:`bioes_labels`.

    Raises:
        InputError: they are not; the message names the first wrong one.
    """
    if not labels or labels[0] != "O":
        raise InputError(f"{where}: the first label is {labels[0] if labels else 'missing'!r}, expected 'O'")
    if is_bioes(labels):
        expected = bioes_labels(labels)
        number = next((i for i, (a, b) in enumerate(zip(labels, expected, strict=False)) if a != b), len(expected))
        if tuple(labels) != expected or len(set(labels)) < len(labels):
            raise InputError(f"{where}: BIOES label {number + 1} is not B-, I-, E- or S- of each type in this order")
        return
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
