"""A twin by name: the only place of what is shared that loads a framework."""

import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any, Literal

from hybridner import __version__
from hybridner.errors import InputError
from hybridner.learner import Checkpoints, Learner, TrainingState

Backend = Literal["flax", "torch"]
BACKENDS: tuple[Backend, ...] = ("flax", "torch")
_PACKAGES = {"flax": ("jax", "flax", "optax", "orbax"), "torch": ("torch",)}


def installed() -> list[Backend]:
    """The twins whose packages are here, Flax first."""
    return [name for name in BACKENDS if all(importlib.util.find_spec(p) for p in _PACKAGES[name])]


def choose_backend(backend: str | None) -> Backend:
    """``backend`` itself, or the first that is installed.

    Raises:
        InputError: there is no twin of that name, or its packages are not installed.
    """
    here = installed()
    if backend is None:
        if not here:
            raise InputError(
                "neither JAX nor PyTorch is installed; pip install 'hybridner[flax]' or 'hybridner[torch]'"
            )
        return here[0]
    for name in BACKENDS:
        if name == backend:
            if name not in here:
                missing = next(p for p in _PACKAGES[name] if not importlib.util.find_spec(p))
                raise InputError(f"backend {name} needs {missing}; pip install 'hybridner[{name}]'")
            return name
    raise InputError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")


def versions(backend: Backend) -> dict[str, str]:
    """Versions of this package and of what the twin computes with."""
    names = {"flax": ("jax", "flax"), "torch": ("torch",)}[backend]
    return {"hybridner": __version__, **{name: importlib.metadata.version(name) for name in names}}


def learner_class(backend: Backend) -> type[Learner]:
    """The twin's ``Learner``."""
    return _module(backend, "learner").Learner


def open_checkpoints(backend: Backend, folder: Path, *, read_only: bool = False) -> Checkpoints:
    """The training states in ``folder``, in the twin's format; ``read_only`` changes nothing on disk."""
    return _module(backend, "checkpoint").Checkpoints(folder, read_only=read_only)


def newest_state(backend: Backend, folder: Path) -> tuple[TrainingState, dict[str, Any]] | None:
    """The newest training state in ``folder`` and the loop's progress, or None without any; nothing is changed there.

    Raises:
        InputError: it cannot be read.
    """
    if not folder.is_dir():
        return None
    checkpoints = open_checkpoints(backend, folder, read_only=True)
    try:
        return None if checkpoints.latest_step() is None else checkpoints.restore()
    finally:
        checkpoints.close()


def checkpoint_module(backend: Backend) -> Any:
    """The twin's ``checkpoint`` module."""
    return _module(backend, "checkpoint")


def original_module() -> Any:
    """The module that reads and writes the original's ``.pth``, which takes PyTorch."""
    return _module("torch", "original")


def _module(backend: Backend, name: str) -> Any:
    choose_backend(backend)
    return importlib.import_module(f"hybridner_{backend}.{name}")
