"""Training states and weights as Orbax checkpoints; ``hybridner.runs.checkpoints`` does the rest.

A training state is the tree ``{"params", "mu", "nu"}``, with ``"average"`` if there is one, each shaped like
``nnx.to_pure_dict(nnx.state(model, nnx.Param))``. Weights are one such tree, which plain Flax code also opens.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError, first_line
from hybridner.files.tensors import Headers, TensorHeader, Weights
from hybridner_flax.canonical import Tree, TreeHeaders, canonical_headers, from_tree, leaves, to_tree

_FOLDER = "state"
_TREES = {"weights": "params", "exp_avg": "mu", "exp_avg_sq": "nu", "average": "average"}

logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs each save and each raised error there


def write_state(folder: Path, config: ModelConfig, kinds: dict[str, Weights]) -> None:
    """Write the arrays of each kind into ``folder``."""
    _write_tree(folder / _FOLDER, {_TREES[kind]: to_tree(config, weights) for kind, weights in kinds.items()})


def read_state(folder: Path, check: Callable[[str, Headers], None]) -> dict[str, Weights]:
    """Read what :func:`write_state` wrote, if ``check`` accepts the names, shapes and types of each kind.

    Raises:
        InputError: the state cannot be read, or ``check`` refused it.
    """
    kinds = {name: kind for kind, name in _TREES.items()}

    def check_kinds(headers: TreeHeaders) -> None:
        by_kind: dict[str, dict[tuple[str, ...], TensorHeader]] = {}
        for (name, *path), header in headers.items():
            by_kind.setdefault(name, {})[tuple(path)] = header
        for name, of_kind in by_kind.items():
            check(kinds.get(name, name), canonical_headers(of_kind))

    tree = _read_tree(folder / _FOLDER, check_kinds)
    return {kinds[name]: from_tree(value) for name, value in tree.items()}


def save_weights(folder: Path, config: ModelConfig, weights: Weights) -> None:
    """Write canonical ``weights`` as an Orbax checkpoint that plain Flax code opens.

    >>> params = ocp.StandardCheckpointer().restore(folder)   # nested dict of arrays, kernels [in, out]
    """
    _write_tree(folder, to_tree(config, weights))


def read_weights(folder: Path, check: Callable[[Headers], None]) -> Weights:
    """Read canonical weights that :func:`save_weights` wrote, or plain Flax code with Orbax's ``StandardCheckpointer``.

    Raises:
        InputError: the checkpoint cannot be read, or ``check`` refused the names, shapes or types.
    """
    return from_tree(_read_tree(folder, lambda headers: check(canonical_headers(headers))))


def _write_tree(folder: Path, tree: Tree) -> None:
    with _checkpointer() as checkpointer:
        checkpointer.save(folder.absolute(), args=ocp.args.PyTreeSave(tree))


def _read_tree(folder: Path, check: Callable[[TreeHeaders], None]) -> Tree:
    """Read an Orbax checkpoint, each array in its type on disk, once ``check`` accepts its metadata."""
    try:
        with _checkpointer() as checkpointer:
            item = checkpointer.metadata(folder.absolute()).item_metadata
            if item is None:
                raise ValueError("its metadata are missing or damaged")
            metadata = item.tree
            check({path: TensorHeader(tuple(of.shape), np.dtype(of.dtype).name) for path, of in leaves(metadata)})
            to_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
            tree: Tree = checkpointer.restore(folder.absolute(), args=ocp.args.PyTreeRestore(restore_args=to_numpy))
        return tree
    except InputError:
        raise
    except Exception as error:  # Orbax raises many kinds for a damaged checkpoint
        raise InputError(f"{folder}: not an Orbax checkpoint that can be read ({first_line(error)})") from error


@contextmanager
def _checkpointer() -> Iterator[ocp.Checkpointer]:
    """Open a checkpointer that neither waits for other processes nor compresses: weights hardly shrink."""
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(me, {me}, f"process {me}")
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone, use_compression=False)
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        yield checkpointer
