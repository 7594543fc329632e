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


def bioes_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return "O", then "B-X", "I-X", "E-X" and "S-X" for each type X of BIO ``labels``, in the same order."""
    return ("O", *(f"{prefix}-{label[2:]}" for label in labels if label.startswith("B-") for prefix in "BIES"))


def is_bioes(labels: Iterable[str]) -> bool:
    """Test for BIOES labels, which unlike BIO contain E- or S-."""
    return any(label[:2] in ("E-", "S-") for label in labels)


def check_labels(labels: Sequence[str], where: str) -> None:
    """Check that ``labels`` are "O" first and then "B-X" and "I-X" of each type, or those of :func:`bioes_labels`.

    Raises:
        InputError: they are not; the message names the first that is wrong.
    """
    if not labels or labels[0] != "O":
        raise InputError(f"{where}: the first label is {labels[0] if labels else 'missing'!r}, expected 'O'")
    if is_bioes(labels):
        expected = bioes_labels(labels)
        number = next((i for i, (a, b) in enumerate(zip(labels, expected, strict=False)) if a != b), len(expected))
        if tuple(labels) != expected or len(set(labels)) < len(labels):
            raise InputError(f"{where}: BIOES label {number + 1} is not B-, I-, E- or S- of each type in this order")
        return
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
