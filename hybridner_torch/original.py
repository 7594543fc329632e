"""A ``state_dict`` in a file of PyTorch's own format; the layout of the original's is in ``hybridner.original``."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from hybridner.errors import InputError
from hybridner.weights import Weights

_WRAPPERS = ("state_dict", "model")


def read_state_dict(path: Path) -> Weights:
    """The tensors of a ``state_dict`` as numpy arrays; one under the key "state_dict" or "model" is found too.

    Raises:
        InputError: the file cannot be read, or holds more than tensors, which only running code could rebuild.
    """
    loaded = _load(path)
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected a state_dict: names and their tensors")
    tensors = {}
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise InputError(f"{path}: {name!r} is a {type(value).__name__}, expected a name and its tensor")
        try:
            tensors[name] = np.asarray(value.detach().numpy(), order="C")
        except (TypeError, RuntimeError) as error:  # bfloat16, sparse, quantized
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
        raise InputError(f"{path}: cannot be written ({_first_line(error)})") from error


def _load(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of files that are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"{found[1]}, which is no tensor" if found else "more than tensors"
        raise InputError(
            f"{path}: holds {what}; reading it could run code, so it is refused; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # whatever PyTorch's parser stumbles over in a file of another kind
        raise InputError(
            f"{path}: truncated, or not a PyTorch checkpoint ({_first_line(error)}); expected a state_dict saved by "
            "torch.save"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
