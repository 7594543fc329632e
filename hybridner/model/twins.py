"""A twin by name: the only place of what is shared that loads a framework."""

import importlib
import importlib.metadata
import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from hybridner.errors import InputError
from hybridner.version import __version__

if TYPE_CHECKING:
    from hybridner.model.learner import Predictor, Probe

Backend = Literal["flax", "torch"]
BACKENDS: tuple[Backend, ...] = ("flax", "torch")
_PACKAGES = {"flax": ("jax", "flax", "optax", "orbax"), "torch": ("torch",)}


def installed() -> list[Backend]:
    """List the backends whose packages are installed, Flax first."""
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


def predictor_class(backend: Backend) -> "type[Predictor]":
    """Load the backend's ``Predictor``."""
    return _module(backend, "predictor").Predictor


def learner_class(backend: Backend) -> "type[Probe]":
    """Load the backend's ``Learner``, which is a :class:`hybridner.model.learner.Probe`."""
    return _module(backend, "learner").Learner


def checkpoint_module(backend: Backend) -> Any:
    """Load the backend's ``checkpoint`` module."""
    return _module(backend, "checkpoint")


def original_module() -> Any:
    """Load the module that reads and writes the original's ``.pth``, which needs PyTorch."""
    return _module("torch", "original")


def _module(backend: Backend, name: str) -> Any:
    choose_backend(backend)
    return importlib.import_module(f"hybridner_{backend}.{name}")
