"""A ``state_dict`` in PyTorch's file format; ``hybridner.saved.original`` has the original's layout."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from hybridner.errors import InputError, first_line
from hybridner.files.tensors import Weights

_WRAPPERS = ("state_dict", "model")


def read_state_dict(path: Path) -> Weights:
    """Read the tensors of a ``state_dict`` as numpy arrays; it may be under the key "state_dict" or "model".

    Raises:
        InputError: the file cannot be read, contains anything but tensors, or claims more numbers than it has
            bytes for.
    """
    loaded = _load(path)
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: contains a {type(loaded).__name__}, expected a state_dict: names and their tensors")
    tensors = {}
    left = 2 * path.stat().st_size  # the file has the embedding under two names
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise InputError(f"{path}: {name!r} is a {type(value).__name__}, expected a name and its tensor")
        left -= value.numel() * value.element_size()
        if left < 0:
            raise InputError(
                f"{path}: tensor {name!r} of shape {tuple(value.shape)} has more numbers than the file contains"
            )
        try:
            tensors[name] = np.asarray(value.detach().numpy(), order="C")
        except (TypeError, RuntimeError, NotImplementedError) as error:  # bfloat16, sparse, quantized
            raise InputError(f"{path}: tensor {name!r} is {value.dtype} ({value.layout}), expected float32") from error
    return tensors


def write_state_dict(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write ``tensors`` as a ``state_dict``, the same bytes for the same tensors; store one under two names once.

    Raises:
        InputError: the file cannot be written.
    """
    arrays = {id(value): value for value in tensors.values()}
    stored = {key: torch.tensor(value) for key, value in arrays.items()}
    try:
        with path.open("wb") as file:  # given a path, PyTorch writes its name into the file
            torch.save({name: stored[id(value)] for name, value in tensors.items()}, file)
    except RuntimeError as error:  # PyTorch's error for a full disk
        raise InputError(f"{path}: cannot be written ({first_line(error)})") from error


def _load(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that we refuse anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = found[1] if found else "more than tensors"
        raise InputError(
            f"{path}: contains {what}; reading it could run code, so it is refused; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # PyTorch raises many kinds for a file of another format
        raise InputError(
            f"{path}: truncated, or not a PyTorch checkpoint ({first_line(error)}); expected a state_dict saved by "
            "torch.save"
        ) from error
