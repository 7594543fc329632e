"""Safetensors files, whose header is checked before their values are in memory."""

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
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class TensorHeader(NamedTuple):
    """A tensor's shape and numpy's name of its dtype, read from a file before its values."""

    shape: tuple[int, ...]
    dtype: str


Headers = Mapping[str, TensorHeader]


def read_tensors(path: Path, check: Callable[[Headers], None]) -> Weights:
    """Read the tensors of a safetensors file into one block of memory, which is free again once all are gone.

    Args:
        path: the file.
        check: receives the header before the values are read, and raises if it is not as expected.

    Raises:
        InputError: the file cannot be read, or ``check`` raised it.
    """
    try:
        with safe_open(path, "numpy"):
            pass  # the library checks the header
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            header.pop("__metadata__", None)
            headers = {
                name: TensorHeader(tuple(one["shape"]), _TYPES.get(one["dtype"], one["dtype"].lower()))
                for name, one in sorted(header.items())
            }
            check(headers)
            # One block, not one per tensor: the allocator keeps small blocks, and gives a large one back.
            content = np.fromfile(file, np.uint8)
        weights = {}
        for name, (shape, dtype) in headers.items():
            value = content[slice(*header[name]["data_offsets"])].view(np.dtype(dtype).newbyteorder("<"))
            weights[name] = np.require(value.reshape(shape), requirements="A")
        return weights
    except InputError:
        raise
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a safetensors file with the permissions of the user's umask; the library would set 0600.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Compute the SHA-256 of names, dtypes, shapes and values, in hexadecimal; the form of file does not matter."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        total.update(f"{name}\0{value.dtype.name}\0{value.shape}\0".encode())
        total.update(value.data)
    return total.hexdigest()
