"""A ``state_dict`` in a file of PyTorch's own format; the original's layout is in ``hybridner.saved.original``."""

import pickletools
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import IO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import torch

from hybridner.errors import InputError, first_line
from hybridner.files.tensors import Weights

_WRAPPERS = ("state_dict", "model")
_ZIP = b"PK\x03\x04"
_PICKLES = 5  # of a file in the older format: a number, the protocol, the machine, the tensors, their keys
# What PyTorch's safe unpickler calls or looks up for tensors; it may call more, such as bytearray with any size.
_OF_TENSORS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor|tensor_v2|parameter|sparse_tensor)|"
    r"torch\.serialization _get_layout|torch (Size|device|b?float\d+|u?int\d+|bool)|"
    r"torch (?!Untyped|Typed)[A-Z]\w*Storage"
)


def read_state_dict(path: Path) -> Weights:
    """The tensors of a ``state_dict`` as numpy arrays; one under the key "state_dict" or "model" is found too.

    Raises:
        InputError: the file cannot be read, holds more than tensors, which only running code could rebuild, or would
            take more memory than it has bytes.
    """
    loaded = _load(path)
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected a state_dict: names and their tensors")
    tensors = {}
    left = 2 * path.stat().st_size  # the embedding stands there twice
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise InputError(f"{path}: {name!r} is a {type(value).__name__}, expected a name and its tensor")
        try:
            size, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
            left -= size
            if size > stored or left < 0:  # one number in many places, or one tensor under many names
                raise InputError(
                    f"{path}: tensor {name!r} of shape {tuple(value.shape)} has more numbers than the file holds for it"
                )
            tensors[name] = np.asarray(value.detach().numpy(), order="C")
        except (TypeError, RuntimeError, NotImplementedError) as error:  # bfloat16, sparse, quantized
            raise InputError(f"{path}: tensor {name!r} is {value.dtype} ({value.layout}), expected float32") from error
    return tensors


def write_state_dict(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write ``tensors`` as a ``state_dict``, the same bytes for the same tensors; one under two names is stored once.

    Raises:
        InputError: the file cannot be written.
    """
    arrays = {id(value): value for value in tensors.values()}
    stored = {key: torch.tensor(value) for key, value in arrays.items()}
    try:
        with path.open("wb") as file:  # given a path, PyTorch writes its name into the file
            torch.save({name: stored[id(value)] for name, value in tensors.items()}, file)
    except RuntimeError as error:  # what PyTorch makes of a full disk
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error


def _load(path: Path) -> object:
    try:
        _check_content(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of files that are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise _holds_code(path, found[1] if found else "") from error
    except Exception as error:  # whatever PyTorch's parser stumbles over in a file of another kind
        raise InputError(
            f"{path}: truncated, or not a PyTorch checkpoint ({first_line(error)}); expected a state_dict saved by "
            "torch.save"
        ) from error


def _check_content(path: Path) -> None:
    """Look through what PyTorch is to read, without making anything of it.

    Raises:
        InputError: it holds more than tensors, or entries of a zip are larger, unpacked, than the file.
        OSError, ValueError, zipfile.BadZipFile: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            file.seek(0)
            for _ in range(_PICKLES):
                _check_pickle(path, file)
            return
        with ZipFile(file) as archive:
            entries = archive.infolist()
            whole = sum(entry.file_size for entry in entries)
            if whole > path.stat().st_size or any(entry.compress_type != ZIP_STORED for entry in entries):
                raise InputError(
                    f"{path}: a zip whose entries unpack to {whole:,} bytes, and PyTorch packs none; save the weights "
                    "anew: torch.save(model.state_dict(), FILE)"
                )
            for entry in entries:
                if entry.filename.lower().endswith(".pkl"):
                    with archive.open(entry) as pickled:
                        _check_pickle(path, pickled)


def _check_pickle(path: Path, file: IO[bytes]) -> None:
    for code, argument, _ in pickletools.genops(file):
        if code.name == "GLOBAL" and not _OF_TENSORS.fullmatch(str(argument)):
            raise _holds_code(path, str(argument).replace(" ", "."))


def _holds_code(path: Path, name: str) -> InputError:
    what = f"{name}, which is no tensor" if name else "more than tensors"
    return InputError(
        f"{path}: holds {what}; reading it could run code, so it is refused; "
        "save the weights alone: torch.save(model.state_dict(), FILE)"
    )
