"""The arrays of a training state as safetensors; ``hybridner.runs.checkpoints`` does the rest.

``state.safetensors`` contains ``weights.NAME``, ``exp_avg.NAME`` and ``exp_avg_sq.NAME`` for each canonical name, and
``average.NAME`` if there is an average.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from hybridner.config.model import ModelConfig
from hybridner.files.tensors import Headers, Weights, read_tensors, write_tensors

T = TypeVar("T")
_FILE = "state.safetensors"


def write_state(folder: Path, _: ModelConfig, kinds: dict[str, Weights]) -> None:
    """Write the arrays of each kind into ``folder``."""
    write_tensors(
        folder / _FILE, {f"{kind}.{name}": value for kind, weights in kinds.items() for name, value in weights.items()}
    )


def read_state(folder: Path, check: Callable[[str, Headers], None]) -> dict[str, Weights]:
    """Read what :func:`write_state` wrote, if ``check`` accepts the names, shapes and types of each kind.

    Raises:
        InputError: the state cannot be read, or ``check`` refused it.
    """

    def check_kinds(headers: Headers) -> None:
        for kind, of_kind in _by_kind(headers).items():
            check(kind, of_kind)

    return _by_kind(read_tensors(folder / _FILE, check_kinds))


def _by_kind(values: Mapping[str, T]) -> dict[str, dict[str, T]]:
    kinds: dict[str, dict[str, T]] = {}
    for key, value in values.items():
        kind, _, name = key.partition(".")
        kinds.setdefault(kind, {})[name] = value
    return kinds
