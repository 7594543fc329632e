"""Safetensors, read in two steps: what is in the file is checked before any of it is in memory."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hybridner.errors import InputError

Weights = dict[str, np.ndarray]


class TensorHeader(NamedTuple):
    """A tensor's shape and numpy's name of its type, read from a file before its values."""

    shape: tuple[int, ...]
    dtype: str


Headers = Mapping[str, TensorHeader]

_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read_tensors(path: Path, check: Callable[[Headers], None]) -> Weights:
    """Read the tensors of a file of safetensors into one piece of memory, which is free again once all are gone.

    Args:
        path: the file.
        check: is called with the names, shapes and types that the file's header tells, and raises if they are not what
            is expected; only then are the values read.

    Raises:
        InputError: the file cannot be read, or ``check`` raised it.
    """
    try:
        with safe_open(path, "numpy") as file:
            headers = {}
            for name in file.keys():  # noqa: SIM118, it is no dict
                tensor = file.get_slice(name)
                headers[name] = TensorHeader(tuple(tensor.get_shape()), _numpy_type(tensor.get_dtype()))
            check(headers)
        # One piece, and no tensor by itself: the allocator keeps small pieces, and gives a large one back.
        content = np.fromfile(path, np.uint8)
        start = 8 + int.from_bytes(content[:8].tobytes(), "little")
        places = json.loads(content[8:start].tobytes())
        weights = {}
        for name, header in headers.items():
            first, last = places[name]["data_offsets"]
            value = content[start + first : start + last].view(np.dtype(header.dtype).newbyteorder("<"))
            weights[name] = np.require(value.reshape(header.shape), requirements="A")
        return weights
    except InputError:
        raise
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a file of safetensors; the user's umask sets its permissions, where the library would set 0600.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)


def _numpy_type(name: str) -> str:
    return _TYPES.get(name, name.lower())


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and values, in hexadecimal: the same for the same bits in any form of file."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        total.update(f"{name}\0{value.dtype.name}\0{value.shape}\0".encode())
        total.update(value.data)
    return total.hexdigest()
