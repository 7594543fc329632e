"""Orbax: the arrays of a training state (``hybridner.runs.checkpoints`` does the rest), and weights for plain Flax.

A state's tree is ``{"params", "mu", "nu"}``, and ``"average"`` if one is kept, each shaped like
``nnx.to_pure_dict(nnx.state(model, nnx.Param))``.
"""

from collections.abc import Callable
from pathlib import Path

from hybridner.errors import InputError
from hybridner.files.tensors import Headers, TensorHeader, Weights
from hybridner_flax.canonical import TreeHeaders, canonical_headers, from_tree, to_tree
from hybridner_flax.orbax_tree import read_tree, write_tree

_FOLDER = "state"
_TREES = {"weights": "params", "exp_avg": "mu", "exp_avg_sq": "nu", "average": "average"}


def write_state(folder: Path, kinds: dict[str, Weights]) -> None:
    """Write the arrays of each kind into ``folder``."""
    write_tree(folder / _FOLDER, {_TREES[kind]: to_tree(weights) for kind, weights in kinds.items()})


def read_state(folder: Path, check: Callable[[str, Headers], None]) -> dict[str, Weights]:
    """What :func:`write_state` wrote, if ``check`` accepts what the files say of each kind.

    Raises:
        InputError: it cannot be read, or ``check`` raised it.
    """
    kinds = {name: kind for kind, name in _TREES.items()}

    def check_kinds(headers: TreeHeaders) -> None:
        told: dict[str, dict[tuple[str, ...], TensorHeader]] = {}
        for (name, *path), header in headers.items():
            if name not in kinds or not path:
                raise InputError(f"{folder / _FOLDER}: {name!r} does not belong to a training state")
            told.setdefault(name, {})[tuple(path)] = header
        for name, of_kind in told.items():
            check(kinds[name], canonical_headers(of_kind))

    tree = read_tree(folder / _FOLDER, check_kinds)
    return {kinds[name]: from_tree(value) for name, value in tree.items()}


def save_weights(folder: Path, weights: Weights) -> None:
    """Write canonical ``weights`` as an Orbax checkpoint that plain Flax code opens.

    >>> params = ocp.StandardCheckpointer().restore(folder)   # nested dict of arrays, kernels [in, out]
    """
    write_tree(folder, to_tree(weights))


def read_weights(folder: Path, check: Callable[[Headers], None]) -> Weights:
    """Canonical weights from what :func:`save_weights` wrote, if ``check`` accepts what the files say of them.

    Raises:
        InputError: it cannot be read, or ``check`` raised it.
    """
    return from_tree(read_tree(folder, lambda headers: check(canonical_headers(headers))))
