"""The list of bugs, and the function that installs one."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Bug:
    """A mistake, the check that must be the first to catch it, and what the broken model reads."""

    check: str
    inject: Callable[[pytest.MonkeyPatch], None]
    reads: str = "pieces"


BUGS: dict[str, Bug] = {}


def bug(rung, name, reads="pieces"):
    def add(inject):
        assert name not in BUGS
        BUGS[name] = Bug(rung, inject, reads)
        return inject

    return add


def wrap(patch, owner, name, wrapper):
    """Replace ``owner.name`` by ``wrapper(original, *args, **kwargs)``."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: wrapper(original, *args, **kwargs))
