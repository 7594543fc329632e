"""Paths that stay inside the folder that the user named, and the removal of files and folders.

A link in a model folder or a run could make a program read, copy or publish any file of its user. So we open a file
only if it lies in the named folder after all links are resolved. The one exception is the Hugging Face Hub cache, whose
files are links from ``models--OWNER--NAME/snapshots/REVISION/`` into ``models--OWNER--NAME/blobs/``.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hybridner.errors import InputError


def inside(folder: Path, name: str) -> Path:
    """Return the path ``folder``/``name``, which need not exist; ``folder`` itself may be a link.

    Raises:
        InputError: the path lies outside ``folder`` after all links are resolved, or its links form a circle.
    """
    path = folder / name
    try:
        root, target = folder.resolve(), path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: a broken link; replace it with a copy of the file") from error
    if not target.is_relative_to(root) and target.parent != _blobs(root):
        raise InputError(f"{path}: leads to {target}, out of {folder}; replace it with a copy of the file")
    return path


def check_links(folder: Path, name: str = ".") -> None:
    """Check everything in ``folder``, or in its sub-folder ``name``, as :func:`inside` does.

    Raises:
        InputError: something leads out of ``folder``; the message names it.
    """
    for at, folders, files in os.walk(inside(folder, name)):  # os.walk enters no link
        for entry in (*folders, *files):
            inside(folder, os.path.relpath(Path(at) / entry, folder))


def remove(path: Path) -> None:
    """Remove a file, a folder with its content, or a link but not its target; ignore what cannot be removed."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _blobs(root: Path) -> Path | None:
    """Return the target folder of the links of a Hub cache snapshot; None for any other folder."""
    for snapshots in root.parents:
        if snapshots.name == "snapshots" and snapshots.parent.name.startswith(("models--", "datasets--")):
            return snapshots.parent / "blobs"
    return None
