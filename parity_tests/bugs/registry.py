"""The list of bugs, and the function that installs one."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Bug:
    """A mistake and the check that must be the first to catch it."""

    check: str
    inject: Callable[[pytest.MonkeyPatch], None]


BUGS: dict[str, Bug] = {}


def bug(rung, name):
    def add(inject):
        BUGS[name] = Bug(rung, inject)
        return inject

    return add


def wrap(patch, owner, name, wrapper):
    """Replace ``owner.name`` by ``wrapper(original, *args, **kwargs)``."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: wrapper(original, *args, **kwargs))
