"""Training states of a run on disk: a folder for each step, with safetensors and JSON in it.

``checkpoints/STEP/state.safetensors`` holds ``weights.NAME``, ``exp_avg.NAME`` and ``exp_avg_sq.NAME`` for each
canonical name, and ``average.NAME`` if an average is kept; ``progress.json`` the step and what the training loop
needs to go on.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hybridner.errors import InputError
from hybridner.learner import TrainingState

_KINDS = ("weights", "exp_avg", "exp_avg_sq", "average")


class Checkpoints:
    """See :class:`hybridner.learner.Checkpoints`."""

    saves_on_every_process = False

    def __init__(self, folder: Path, max_to_keep: int = 2, *, read_only: bool = False) -> None:
        self._folder, self._max_to_keep = folder, max_to_keep
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)

    def save(self, state: TrainingState, progress: dict[str, Any]) -> None:
        """Save a training state and the loop's ``progress``: whole, or not at all."""
        partial = self._folder / f"{state.step}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        tensors = {f"{kind}.{name}": value for kind in _KINDS for name, value in (getattr(state, kind) or {}).items()}
        save_file(tensors, partial / "state.safetensors")
        (partial / "progress.json").write_text(json.dumps({"step": state.step, **progress}), encoding="utf-8")
        final = self._folder / str(state.step)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for step in self._steps()[: -self._max_to_keep]:
            shutil.rmtree(self._folder / str(step))

    def latest_step(self) -> int | None:
        """The newest step that was saved whole."""
        return max(self._steps(), default=None)

    def restore(self) -> tuple[TrainingState, dict[str, Any]]:
        """The newest state and the loop's progress.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        step = self.latest_step()
        if step is None:
            raise InputError(f"{self._folder}: no checkpoint")
        folder = self._folder / str(step)
        try:
            tensors = load_file(folder / "state.safetensors")
            progress = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
            step_saved = progress.pop("step")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise InputError(f"{folder}: the checkpoint cannot be read ({error})") from error
        kinds: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        for key, value in tensors.items():
            kind, _, name = key.partition(".")
            if kind not in kinds:
                raise InputError(f"{folder}/state.safetensors: tensor {key!r} does not belong to a training state")
            kinds[kind][name] = value
        average = kinds.pop("average") or None
        return TrainingState(**kinds, step=step_saved, average=average), progress

    def close(self) -> None:
        """Wait until all is on disk; here it is."""

    def _steps(self) -> list[int]:
        return sorted(int(p.name) for p in self._folder.glob("*") if p.name.isdecimal())
