"""Folders that others made: nothing in them leads out of them, and nothing outside is written or deleted through them.

A link in a model folder or a run could make a program read, copy or publish any file of its user's. So a file is read
only if it lies, all links resolved, in the folder that the user named. What the cache of the Hugging Face Hub holds are
links from ``models--OWNER--NAME/snapshots/REVISION/`` into ``models--OWNER--NAME/blobs/``, and these are allowed.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hybridner.errors import InputError

_CACHES = ("models--", "datasets--")


def inside(folder: Path, name: str) -> Path:
    """The path of ``name`` in ``folder``, which need not exist.

    Args:
        folder: what the user named; it may be a link itself.
        name: relative to it, such as "config.json" or "best/config.json".

    Raises:
        InputError: it lies, all links resolved, outside ``folder``; or it is neither a file nor a folder, such as a
            pipe, from which a program would read forever.
    """
    path = folder / name
    root, target = _resolved(folder), _resolved(path)
    if not target.is_relative_to(root) and target.parent != _blobs(root):
        link = next((p for p in _steps(folder, path) if p.is_symlink() and not _resolved(p).is_relative_to(root)), path)
        raise InputError(
            f"{link}: leads to {_resolved(link)}, out of {folder}; put a copy of what is meant in its place"
        )
    with suppress(OSError):  # who may not look at it may not read it either
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise InputError(f"{path}: neither a file nor a folder; put a plain file in its place")
    return path


def check_links(folder: Path, name: str = ".") -> None:
    """Check all that lies in ``folder``, or in its sub-folder ``name``, as :func:`inside` does.

    Raises:
        InputError: something leads out of ``folder``; the message names it.
    """
    top = inside(folder, name)
    for at, folders, files in os.walk(top):  # which enters no link
        for entry in (*folders, *files):
            inside(folder, os.path.relpath(Path(at) / entry, folder))


def copy_folder(folder: Path, name: str, copy: Path) -> None:
    """Copy the sub-folder ``name`` of ``folder``, files alone: a link to a file becomes the file.

    Raises:
        InputError: it holds what leads out of ``folder``, or a link to a folder, which could lead in circles.
        OSError: it cannot be copied.
    """
    top = inside(folder, name)
    for at, folders, files in os.walk(top):
        here = copy / Path(at).relative_to(top)
        here.mkdir(parents=True)
        if link := next((Path(at) / entry for entry in sorted(folders) if (Path(at) / entry).is_symlink()), None):
            raise InputError(f"{link}: a link to a folder; put a copy of the folder in its place")
        for entry in files:
            shutil.copyfile(inside(folder, os.path.relpath(Path(at) / entry, folder)), here / entry)


def remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link but not what it leads to; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle; a name that no file can have
        raise InputError(f"{path}: leads nowhere; put a copy of what is meant in its place") from error


def _steps(folder: Path, path: Path) -> list[Path]:
    """The paths from ``folder``, itself left out, down to ``path``."""
    return [p for p in (*reversed(path.parents), path) if p != folder and p.is_relative_to(folder)]


def _blobs(root: Path) -> Path | None:
    """Where the links of a folder in the Hugging Face Hub's cache lead to; None for any other folder."""
    for snapshots in root.parents:
        if snapshots.name == "snapshots" and snapshots.parent.name.startswith(_CACHES):
            return snapshots.parent / "blobs"
    return None
