"""The names of splits, and what is read for each."""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.errors import InputError

SplitName = Literal["train", "valid", "test"]


SPLITS: tuple[SplitName, ...] = get_args(SplitName)


SPLIT_ALIASES = {
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
    """Return the split named ``name``, which may be an alias such as "dev".

    Raises:
        InputError: it means none.
    """
    if name not in SPLIT_ALIASES:
        raise InputError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    return SPLIT_ALIASES[name]
