"""Files that commands write for programs, in addition to the text they print for people."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

STANDARD_OUTPUT = Path("-")


def check_writable(*paths: Path | None) -> None:
    """Check that files can be written, before the work that makes their content.

    Raises:
        InputError: the folder of one does not exist, or its path is itself a folder.
    """
    for path in filter(None, paths):
        if path.is_dir():
            raise InputError(f"{path}: a folder; expected the name of a file to write")
        if not path.parent.is_dir():
            raise InputError(f"{path}: cannot be written, there is no folder {path.parent}")


def for_people(*paths: Path | None) -> AbstractContextManager[Any]:
    """Redirect print to the standard error if one of the files to write is the standard output."""
    return redirect_stdout(sys.stderr) if STANDARD_OUTPUT in paths else nullcontext()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, as :func:`write_text` does."""
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
