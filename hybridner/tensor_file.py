"""Safetensors, read in two steps: what is in the file is checked before any of it is in memory."""

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from hybridner.errors import InputError
from hybridner.weights import Headers, TensorHeader, Weights

_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def read_tensors(path: Path, check: Callable[[Headers], None]) -> Weights:
    """The tensors of a file of safetensors.

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
            return {name: file.get_tensor(name) for name in headers}
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _numpy_type(name: str) -> str:
    return _TYPES.get(name, name.lower())
