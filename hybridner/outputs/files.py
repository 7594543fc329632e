"""A file that is written as the work goes, and has its name only once it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hybridner.errors import InputError


@contextmanager
def opened_whole(path: Path) -> Iterator[TextIO]:
    r"""A file to write UTF-8 to, which takes the name ``path`` when the block ends; after an error it is removed.

    What is no plain file, such as a pipe, is written as it is. Half a surrogate pair is written as ``\ud800``, which
    JSON reads as what it is.

    Raises:
        InputError: it cannot be written.
    """
    partial = path if path.exists() and not path.is_file() else path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        if partial != path:
            partial.replace(path)
    except BaseException as error:
        if partial != path:
            with suppress(OSError):
                partial.unlink()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        raise
