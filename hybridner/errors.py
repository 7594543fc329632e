"""The one kind of error that is the user's to mend."""

import re
from importlib.util import find_spec

_LONGEST = 1500  # characters of a message
_END = 400
_BREAK = re.compile("[ \t]*[\n\r\v\f\x85\u2028\u2029][\\s]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class InputError(ValueError):
    """A mistake in what the user gave: a file, an option, a checkpoint, a missing package.

    The message is one line that says what is wrong, where (``file:line``, key or shape), what was
    expected and how to mend it. Commands print it without a traceback and exit with code 2.

    Whatever a file that it quotes holds, it stays one line of at most 1,500 characters: a line break becomes a space,
    another control character, which could steer a terminal, its escape, and of a longer one the middle is left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(str(message)))


class CannotWriteError(InputError):
    """A file of a run that cannot be written: the disk is full, read-only or gone.

    The message names the file and, if there is one, the checkpoint to resume from.
    """


def needs(what: str, package: str, extra: str) -> str:
    """Say in one line how to install the optional ``package`` that ``what`` needs; "" where it is installed."""
    return "" if find_spec(package) else f"{what} needs {package}: pip install 'hybridner[{extra}]'"


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error message, or the error's kind if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _one_line(message: str) -> str:
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST - _END - 3]} … {message[-_END:]}"
    message = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", _BREAK.sub(" ", message))
    # Escapes are longer than what they stand for.
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - _END - 3]} … {message[-_END:]}"
