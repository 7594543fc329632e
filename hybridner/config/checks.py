"""Checks of option values, and the messages for wrong ones."""

from hybridner.errors import InputError


def nearest(name: str, names: list[str]) -> str:
    """The words "; did you mean …?" if one of ``names`` is like ``name``, else a list of them all."""
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def require(condition: bool, message: str) -> None:
    """Raise an :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)
