"""Files that commands write for machines, besides the text they print for people."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

STANDARD_OUTPUT = Path("-")


def check_writable(path: Path | None) -> None:
    """Check before the work that its result can be written to ``path``.

    Raises:
        InputError: its folder does not exist, or ``path`` is itself a folder.
    """
    if path is None or path == STANDARD_OUTPUT:
        return
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected the name of a file to write")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written, there is no folder {path.parent}")


def for_people(path: Path | None) -> AbstractContextManager[Any]:
    """Redirect print to the standard error if the JSON for ``path`` takes the standard output."""
    return redirect_stdout(sys.stderr) if path == STANDARD_OUTPUT else nullcontext()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; the path ``-`` is the standard output.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8; the path ``-`` is the standard output.

    Raises:
        InputError: the file cannot be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
