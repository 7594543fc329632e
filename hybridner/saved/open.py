"""Open a saved model of any form."""

import sys
from pathlib import Path

from hybridner.errors import InputError
from hybridner.files.hub import fetch_model, is_repository
from hybridner.files.paths import inside
from hybridner.saved.folder import read_folder
from hybridner.saved.model import SavedModel
from hybridner.saved.original import OriginalOptions, open_original

ORIGINAL_SUFFIX = ".pth"


def find_model(source: str | Path) -> Path:
    """Find the model folder of ``source``, a run or a model folder; return the original's ``.pth`` as it is.

    If ``source`` does not exist and has the form OWNER/NAME, we fetch it from the Hugging Face Hub and print so; but
    not if there is a folder OWNER, because then NAME is probably misspelt.

    Raises:
        InputError: there is no model.
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

    A ``.pth`` opens with the defaults of :class:`hybridner.saved.original.OriginalOptions`.

    Raises:
        InputError: a file is missing or damaged, or its parts do not belong together; the message names it.
    """
    found = find_model(source)
    return open_original(found, OriginalOptions())[0] if found.is_file() else read_folder(found)
