"""Files that commands write beside what they print."""

import json
from pathlib import Path
from typing import Any

from hybridner.errors import InputError


def check_writable(path: Path | None) -> None:
    """Check that a file can be written at ``path``, before the work whose result it is to hold.

    Raises:
        InputError: its folder is not there, or a folder stands in its place.
    """
    if path is not None and path.is_dir():
        raise InputError(f"{path}: a folder; expected the name of a file to write")
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written, there is no folder {path.parent}")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
