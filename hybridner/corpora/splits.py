"""Names of the splits, and the sources that they are read from."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.errors import InputError

SplitName = Literal["train", "valid", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
SPLIT_ALIASES: dict[str, SplitName] = {
    "train": "train",
    **dict.fromkeys(("valid", "validation", "dev", "development", "testa"), "valid"),
    **dict.fromkeys(("test", "testb"), "test"),
}
Source = Callable[[Issues], Iterable[Sentence]]
Sources = dict[str, tuple[str, Source]]


def shown_split(name: str) -> str:
    """Return the name that users see: "dev" for "valid"."""
    return "dev" if name == "valid" else name


def split_name(name: str) -> str:
    """Return the split that ``name``, which may be an alias such as "dev", means.

    Raises:
        InputError: it means none.
    """
    if name not in SPLIT_ALIASES:
        raise InputError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    return SPLIT_ALIASES[name]


def assign_splits(names: Iterable[str], where: str) -> dict[str, str]:
    """Map each split to the file or table whose name contains it as a part, such as ``train.txt`` or ``eng.train``.

    Raises:
        InputError: two names mean the same split.
    """
    found: dict[str, str] = {}
    for name in names:
        splits = {SPLIT_ALIASES[part] for part in name.lower().split(".") if part in SPLIT_ALIASES}
        if len(splits) == 1:
            (split,) = splits
            if split in found:
                raise InputError(
                    f"{where}: {found[split]} and {name} are both the {shown_split(split)} split; keep one"
                )
            found[split] = name
    return found
