"""Files and folders that get their name only once they are complete."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError

from hybridner.errors import CannotWriteError, InputError
from hybridner.files.paths import remove


@contextmanager
def opened_whole(path: Path) -> Iterator[TextIO]:
    r"""Open a UTF-8 file to write, as :func:`written_whole` does; half a surrogate pair becomes ``\ud800``, as in JSON.

    Raises:
        InputError: ``path`` is a folder, or cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected the name of a file to write")
    with (
        written_whole(path, parents=False) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


@contextmanager
def written_whole(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Provide a temporary path for a file or folder, which replaces ``path`` when the block ends.

    An error, or the next call after a killed process, removes it. A pipe or a device is written in place.

    Raises:
        InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            partial = path
        else:
            remove(partial)
        if parents:
            partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial != path:
            replace_folder(partial, path)
    except BaseException as error:
        if partial != path:
            remove(partial)
        if isinstance(error, (OSError, SafetensorError)) and not isinstance(error, BrokenPipeError):
            reason = getattr(error, "strerror", None) or error
            raise CannotWriteError(f"{path}: cannot be written ({reason})") from error
        raise


def replace_folder(partial: Path, folder: Path) -> None:
    """Replace ``folder`` by ``partial``; a reader sees one or the other.

    A link ``folder`` is replaced itself; its target remains.
    """
    if not folder.is_dir():
        partial.replace(folder)  # NAME.old, if there is one, is the user's
        return
    old = folder.with_name(f"{folder.name}.old")
    remove(old)
    folder.rename(old)
    partial.rename(folder)
    remove(old)
