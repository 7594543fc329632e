"""A file that is written as the work goes, and has its name only once it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError

from hybridner.errors import CannotWriteError, InputError
from hybridner.files.paths import remove


@contextmanager
def opened_whole(path: Path) -> Iterator[TextIO]:
    r"""Open a UTF-8 file that gets the name ``path`` when the block ends; after an error it is removed.

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


@contextmanager
def written_whole(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Provide a temporary path for a file or folder, which replaces ``path`` when the block ends.

    What a process that was killed left there is removed first; after an error it is removed at once.

    Raises:
        InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        remove(partial)
        if parents:
            partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        replace_folder(partial, path)
    except BaseException as error:
        remove(partial)
        if isinstance(error, (OSError, SafetensorError)):
            raise CannotWriteError(f"{path}: cannot be written ({error})") from error
        raise


def replace_folder(partial: Path, folder: Path) -> None:
    """Replace ``folder`` by ``partial``; a reader sees one or the other.

    Where ``folder`` is a link, the link is replaced, and what it leads to stays as it is.
    """
    if not folder.is_dir():
        partial.replace(folder)  # a NAME.old that is here is not ours
        return
    old = folder.with_name(f"{folder.name}.old")
    remove(old)
    folder.rename(old)
    partial.rename(folder)
    remove(old)
