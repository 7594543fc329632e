"""Checks of option values, and the messages for wrong ones."""

import reprlib
import types
import typing
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

_LARGEST = 2**63
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


def nearest(name: str, names: list[str]) -> str:
    """Return the words "; did you mean …?" if one of ``names`` is like ``name``, else a list of them all."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def require(condition: bool, message: str) -> None:
    """Raise an :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)


def typed(name: str, value: Any, hint: Any) -> Any:
    """Return ``value`` as an instance of the type ``hint``: a path may be given as text, text as a path, and "~" in
    either is the user's home folder.

    Raises:
        InputError: it has another type; the message begins with ``name`` and names the expected type.
    """
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    for member in members:
        if typing.get_origin(member) is typing.Literal:
            if any(value == choice and type(value) is type(choice) for choice in typing.get_args(member)):
                return value
        elif member is Path and isinstance(value, str | Path):
            return Path(value).expanduser()
        elif member is str and isinstance(value, str | Path):
            return str(Path(value).expanduser()) if isinstance(value, Path) or value.startswith("~/") else value
        elif member is float and type(value) is int and abs(value) < _LARGEST:
            return float(value)
        elif type(value) is member and not (member is int and abs(value) >= _LARGEST):
            return value
    kinds = " or ".join(_kind(member) for member in members if member is not types.NoneType)
    raise InputError(f"{name} must be {kinds}, not {_shown(value)}")


def _kind(member: Any) -> str:
    if typing.get_origin(member) is typing.Literal:
        return " or ".join(str(choice) for choice in typing.get_args(member))
    return _KINDS.get(member, str(member))


def _shown(value: Any) -> str:
    """Return a short form of a value: YAML can nest one in itself, or make its ``repr`` of exponential length."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        shown = reprlib.repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a value with a number too long to print"
    return shown if len(shown) <= 40 else f"{shown[:37]}…"
