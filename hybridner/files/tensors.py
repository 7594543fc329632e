"""Safetensors files, whose header is checked before their values are in memory."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hybridner.errors import InputError

Weights = dict[str, np.ndarray]
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_TYPES |= {"I64": "int64", "I32": "int32", "U64": "uint64", "U8": "uint8"}
_CODES = {name: code for code, name in _TYPES.items()}


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
            headers, places = _read_header(file)
            check(headers)
            # One block, not one per tensor: the allocator keeps small blocks, and gives a large one back.
            content = np.fromfile(file, np.uint8)
        weights = {}
        for name, (shape, dtype) in headers.items():
            value = content[places[name]].view(np.dtype(dtype).newbyteorder("<"))
            weights[name] = np.require(value.reshape(shape), requirements="A")
        return weights
    except InputError:
        raise
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def map_tensors(path: Path, check: Callable[[Headers], None]) -> tuple[Weights, dict[str, int]]:
    """Map the tensors of a safetensors file into memory, where only what is used is read; none may be empty.

    Args:
        path: the file.
        check: as for :func:`read_tensors`.

    Returns:
        The tensors, read-only, and the first byte of each in the file.

    Raises:
        InputError: as for :func:`read_tensors`.
    """
    try:
        with safe_open(path, "numpy"):
            pass
        with path.open("rb") as file:
            headers, places = _read_header(file)
            check(headers)
            starts = {name: file.tell() + place.start for name, place in places.items()}
            tensors: Weights = {
                name: np.memmap(file, np.dtype(dtype).newbyteorder("<"), "r", starts[name], shape).view(np.ndarray)
                for name, (shape, dtype) in headers.items()
            }
        return tensors, starts
    except InputError:
        raise
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _read_header(file: IO[bytes]) -> tuple[dict[str, TensorHeader], dict[str, slice]]:
    """Read the header of a safetensors file: what each tensor is, and its bytes after the header."""
    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    headers = {
        name: TensorHeader(tuple(one["shape"]), _TYPES.get(one["dtype"], one["dtype"].lower()))
        for name, one in sorted(header.items())
    }
    return headers, {name: slice(*one["data_offsets"]) for name, one in header.items()}


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a safetensors file with the permissions of the user's umask; the library would set 0600.

    Raises:
        OSError, SafetensorError: the file cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode
    save_file(dict(tensors), path)
    path.chmod(mode)


def write_streamed(path: Path, headers: Headers, parts: Mapping[str, Iterable[np.ndarray]]) -> None:
    """Write a safetensors file of tensors that need not fit into memory, in the order of ``headers``.

    Args:
        path: the file.
        headers: shape and dtype of each tensor; the widest dtypes first, so that all are aligned.
        parts: arrays that, one after the other, make up each tensor.

    Raises:
        OSError: the file cannot be written.
    """
    header, end = {}, 0
    for name, (shape, dtype) in headers.items():
        start, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, (_, dtype) in headers.items():
            for part in parts[name]:
                file.write(np.ascontiguousarray(part, np.dtype(dtype).newbyteorder("<")).data)


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Compute the SHA-256 of names, dtypes, shapes and values, in hexadecimal; the form of file does not matter."""
    total = hashlib.sha256()
    for name, value in sorted(weights.items()):
        value = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        total.update(f"{name}\0{value.dtype.name}\0{value.shape}\0".encode())
        total.update(value.data)
    return total.hexdigest()
