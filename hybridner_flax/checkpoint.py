"""Orbax: training states of a run on disk by step, and weights alone for plain Flax code.

A state's tree is ``{"params", "mu", "nu"}``, and ``"average"`` if one is kept, each shaped like
``nnx.to_pure_dict(nnx.state(model, nnx.Param))``; ``progress`` beside it is JSON: the step and what the training loop
needs to go on.
"""

import logging
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
import tensorstore as ts

from hybridner.errors import InputError
from hybridner.learner import TrainingState
from hybridner.weights import Weights
from hybridner_flax.canonical import from_tree, to_tree

_KINDS = {"params": "weights", "mu": "exp_avg", "nu": "exp_avg_sq", "average": "average"}

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports each save there


class Checkpoints:
    """See :class:`hybridner.learner.Checkpoints`; the files are written in the background."""

    saves_on_every_process = True

    def __init__(self, folder: Path, max_to_keep: int = 2, *, read_only: bool = False) -> None:
        self._folder = folder
        if read_only:
            # Another process may be saving here: its unfinished files stay as they are.
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            options = ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.LatestN(max_to_keep), cleanup_tmp_directories=True
            )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def save(self, state: TrainingState, progress: dict[str, Any]) -> None:
        """Save a training state and the loop's ``progress``: whole, or not at all."""
        kinds = {kind: getattr(state, name) for kind, name in _KINDS.items()}
        tree = {kind: to_tree(weights) for kind, weights in kinds.items() if weights is not None}
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(tree), progress=ocp.args.JsonSave({"step": state.step, **progress})
        )
        self._manager.wait_until_finished()
        if state.step in self._manager.all_steps():
            self._manager.delete(state.step)
        self._manager.save(state.step, args=args, force=True)

    def latest_step(self) -> int | None:
        """The newest step that was saved whole."""
        return self._manager.latest_step()

    def restore(self) -> tuple[TrainingState, dict[str, Any]]:
        """The newest state and the loop's progress.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        step = self.latest_step()
        if step is None:
            raise InputError(f"{self._folder}: no checkpoint")
        args = ocp.args.Composite(state=ocp.args.StandardRestore(), progress=ocp.args.JsonRestore())
        try:
            _check_whole(self._folder / str(step) / "state")
            with jax.enable_x64(True):
                restored = self._manager.restore(step, args=args)
            tree, progress = restored["state"], restored["progress"]
            kinds = {name: from_tree(tree[kind]) for kind, name in _KINDS.items() if kind in tree or kind != "average"}
            return TrainingState(**kinds, step=progress.pop("step")), progress
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{self._folder}/{step}: the checkpoint cannot be read ({reason})") from error

    def close(self) -> None:
        """Wait until all is on disk."""
        self._manager.close()


def save_weights(folder: Path, weights: Weights) -> None:
    """Write canonical ``weights`` as an Orbax checkpoint that plain Flax code opens.

    >>> params = ocp.StandardCheckpointer().restore(folder)   # nested dict of arrays, kernels [in, out]
    """
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.absolute(), to_tree(weights))


def read_weights(folder: Path) -> Weights:
    """Canonical weights from what :func:`save_weights` wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        _check_whole(folder)
        with ocp.StandardCheckpointer() as checkpointer, jax.enable_x64(True):
            return from_tree(checkpointer.restore(folder.absolute()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder}: not an Orbax checkpoint that can be read ({str(error).splitlines()[0]})"
        ) from error


def _check_whole(folder: Path) -> None:
    """Read every value of an Orbax tree, one at a time.

    Orbax reads them all at once, and after the first that fails the others print tracebacks from their threads.

    Raises:
        OSError, ValueError: one cannot be read.
    """
    if not (folder / "manifest.ocdbt").is_file():
        raise FileNotFoundError("it holds no manifest.ocdbt")
    store = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{folder.absolute()}/"}).result()
    for key in store.list().result():
        if not store[key]:  # what stood in a file that is gone
            raise ValueError(f"{key.decode()} is missing")
