"""Open a saved model, whatever form it has."""

import sys
from pathlib import Path

from hybridner.errors import InputError
from hybridner.files.hub import fetch_model, is_repository
from hybridner.files.paths import inside
from hybridner.saved.folder import read_folder
from hybridner.saved.model import SavedModel

ORIGINAL_SUFFIX = ".pth"


def find_model(source: str | Path) -> Path:
    """Find the model folder of ``source``: a run, a model folder, or the original's ``.pth``, returned as it is.

    What is not here and reads as OWNER/NAME is fetched from the Hugging Face Hub, and that is said; but not if there is
    a folder OWNER, for then it is a slip of the pen.

    Raises:
        InputError: there is none.
    """
    path = Path(source)
    if not path.exists() and not path.parent.exists() and is_repository(str(source)):
        print(f"{source}: not here; asking the Hugging Face Hub", file=sys.stderr)
        return fetch_model(str(source))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a run, a model folder or a .pth file")
    if path.is_file():
        if path.suffix == ORIGINAL_SUFFIX:
            return path
        raise InputError(f"{path}: a file; expected a run, a model folder or a checkpoint of the original, NAME.pth")
    for name in ("best", ".", "best.old"):  # the last: stopped between two renames
        if inside(path, f"{name}/config.json").is_file():
            return path / name
    if (path / "config.toml").is_file():
        raise InputError(f"{path}: a run without a saved model yet; its first epoch has not ended")
    raise InputError(f"{path}: neither a run nor a model folder (no config.json in it)")


def open_model(source: str | Path) -> SavedModel:
    """Read a run's best model, a model folder, or the original's ``.pth``.

    A ``.pth`` is taken to have what the original has: 4 heads and, if there are nine classes, its labels. It has no
    tokenizer. :func:`hybridner.saved.original.open_original` takes other values.

    Raises:
        InputError: a file is missing or damaged, or its parts do not belong together; the message names it.
    """
    folder = find_model(source)
    if folder.is_file():
        from hybridner.saved.original import OriginalOptions, open_original

        return open_original(folder, OriginalOptions())[0]
    return read_folder(folder)
