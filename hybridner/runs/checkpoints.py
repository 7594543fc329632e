"""Training states of a run on disk, by step: each whole and checked, the newest and the best kept.

``checkpoints/STEP/`` contains the files of the backend's ``write_state``, ``progress.json`` with everything else that
the training loop needs to resume, and ``checksums.json`` with the size and SHA-256 of every other file. We write it as
``STEP.partial``, force it to the disk and rename it, so a killed process or a failed machine leaves the earlier states
intact. Before we use a state, we compare its files with their checksums.
"""

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from hybridner.config.model import ModelConfig
from hybridner.errors import CannotWriteError, InputError, first_line
from hybridner.files.paths import remove
from hybridner.files.reading import read_json
from hybridner.files.tensors import Headers
from hybridner.files.whole import replace_folder
from hybridner.model.learner import TrainingState
from hybridner.model.size import check_fits
from hybridner.model.twins import Backend, checkpoint_module
from hybridner.model.weights import check_weights
from hybridner.saved.model import model_config

_CHECKSUMS, _PROGRESS = "checksums.json", "progress.json"
_KINDS = ("weights", "exp_avg", "exp_avg_sq", "average")
_FOLDER = re.compile(r"(0|[1-9][0-9]*)(\.old)?")


class Restored(NamedTuple):
    """A training state read from disk.

    Attributes:
        state: the training state.
        progress: everything else that the training loop needs to resume; under "model", the config as plain values.
        notes: sentences for the user about newer states that are damaged.
    """

    state: TrainingState
    progress: dict[str, Any]
    notes: list[str]


class CheckpointStore:
    """The training states in a folder; one process writes, in the background, and any number read."""

    def __init__(self, folder: Path, form: Any, keep: int, *, read_only: bool) -> None:
        """Open ``folder``; see :func:`open_checkpoints`. ``form`` is the backend's ``checkpoint`` module."""
        self._folder, self._form, self._keep, self._read_only = folder, form, keep, read_only
        self._thread = ThreadPoolExecutor(1, "hybridner-checkpoint")
        self._writing: Future[None] | None = None
        if not read_only:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._tidy()
            except OSError as error:
                raise CannotWriteError(f"{folder}: cannot be written ({error.strerror})") from error

    def save(
        self, state: TrainingState, config: ModelConfig, progress: dict[str, Any], best_step: int | None = None
    ) -> None:
        """Save a state and the loop's ``progress``, JSON values, in the background, whole or not at all.

        No one may change the state's arrays any more. The state of ``best_step`` is kept in addition to the newest.

        Raises:
            CannotWriteError: the state before it could not be saved.
        """
        self.wait()
        head = {"step": state.step, "skipped": state.skipped}
        text = json.dumps({**head, **progress, "model": dataclasses.asdict(config)})
        self._writing = self._thread.submit(self._write, state, config, text, best_step)

    def check(self) -> None:
        """Raise the error of a save that has failed, as :meth:`wait` does, but do not wait."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until all is on disk.

        Raises:
            CannotWriteError: the state could not be saved.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait as :meth:`wait` does, and end the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def latest_step(self) -> int | None:
        """Find the newest step with a completely written state."""
        return max(self._places(), default=None)

    def restore(self, step: int | None = None) -> Restored:
        """Read the newest whole state, or that of ``step``; set damaged newer ones aside.

        Raises:
            InputError: there is none, or none is whole; the message names the newest and its damage.
        """
        damaged: list[tuple[Path, InputError]] = []
        for number, place in sorted(self._places().items(), reverse=True):
            if step not in (None, number):
                continue
            try:
                state, progress = self._read(place, number)
            except InputError as error:
                damaged.append((place, error))
                continue
            used = f"the checkpoint of step {number:,} is used"
            return Restored(state, progress, [f"{why}; {self._set_aside(bad)}{used}" for bad, why in damaged])
        if not damaged:
            raise InputError(f"{self._folder}: no checkpoint" + ("" if step is None else f" of step {step}"))
        before = "" if len(damaged) == 1 else f", and none of the {len(damaged) - 1} before it is whole"
        raise InputError(f"{damaged[0][1]}{before}")

    def _write(self, state: TrainingState, config: ModelConfig, progress: str, best_step: int | None) -> None:
        final = self._folder / str(state.step)
        partial = self._folder / f"{state.step}.partial"
        try:
            remove(partial)
            partial.mkdir()
            kinds = {kind: weights for kind in _KINDS if (weights := getattr(state, kind)) is not None}
            needed = sum(value.nbytes for weights in kinds.values() for value in weights.values())
            if needed > shutil.disk_usage(partial).free:  # Orbax prints a page for each array that it cannot write
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._form.write_state(partial, config, kinds)
            (partial / _PROGRESS).write_text(progress, encoding="utf-8")
            (partial / _CHECKSUMS).write_text(json.dumps(_checksums(partial), indent=1), encoding="utf-8")
            _sync_tree(partial)
            replace_folder(partial, final)
            _sync(self._folder)
            places = self._places()
            for step in sorted(places)[: -self._keep]:
                if step != best_step:
                    remove(places[step])
        except Exception as error:  # the libraries raise many kinds when a disk is full or gone
            remove(partial)
            raise CannotWriteError(f"{final}: the checkpoint cannot be written ({_reason(error)})") from error

    def _places(self) -> dict[int, Path]:
        """Find the folder of each step's state: ``STEP.old`` if its writer was killed between two renames."""
        places = {}
        for path in sorted(self._folder.glob("*"), reverse=True):  # STEP.old before STEP, which overrides it
            if (found := _FOLDER.fullmatch(path.name)) and path.is_dir():
                places[int(found[1])] = path
        return places

    def _tidy(self) -> None:
        """Clean up after a writer that was killed."""
        places = self._places().values()
        for path in (*self._folder.glob("*.partial"), *self._folder.glob("*.old")):
            if path in places:
                path.rename(path.with_suffix(""))
            else:
                remove(path)

    def _set_aside(self, place: Path) -> str:
        """Rename a damaged state, so it no longer counts, and report the new name."""
        if self._read_only:
            return ""
        aside = place.with_name(f"{place.name}.damaged")
        remove(aside)
        place.rename(aside)
        return f"it was set aside as {aside.name}; "

    def _read(self, place: Path, step: int) -> tuple[TrainingState, dict[str, Any]]:
        try:
            _compare_checksums(place)
            progress = read_json(place / _PROGRESS)
        except (OSError, ValueError) as error:
            raise InputError(f"{place}: the checkpoint is damaged ({_reason(error)})") from error
        saved, skipped = progress.pop("step", None), progress.pop("skipped", None)
        if saved != step or type(skipped) is not int:
            raise InputError(f"{place}: the checkpoint is damaged ({_PROGRESS} has step {saved}, {skipped} skipped)")
        config = model_config(progress.get("model"), place / _PROGRESS)
        check_fits(config, f"{place / _PROGRESS}", training=True)

        def check(kind: str, headers: Headers) -> None:
            if kind not in _KINDS:
                raise InputError(f"{place}: {kind!r} does not belong to a training state")
            check_weights(config, headers, f"{place}: {kind}", ("float32", "float64"))

        kinds = self._form.read_state(place, check)
        if missing := [kind for kind in _KINDS[:3] if kind not in kinds]:
            raise InputError(f"{place}: the checkpoint is damaged (it has no {missing[0]})")
        return TrainingState(**kinds, step=step, skipped=skipped), progress


def open_checkpoints(backend: Backend, folder: Path, keep: int = 2, *, read_only: bool = False) -> CheckpointStore:
    """Open the training states in ``folder``, in the backend's format; keep the ``keep`` newest.

    With ``read_only``, nothing changes on disk, because another process may be saving there; else the folder is made.

    Raises:
        CannotWriteError: the folder cannot be made.
    """
    return CheckpointStore(folder, checkpoint_module(backend), keep, read_only=read_only)


def newest_state(backend: Backend, folder: Path) -> Restored | None:
    """Read the newest whole training state in ``folder``, or None if there is none; nothing there changes.

    Raises:
        InputError: none is whole.
    """
    store = open_checkpoints(backend, folder, read_only=True)
    return None if store.latest_step() is None else store.restore()


def _checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """Compute the size and SHA-256 of all files below ``folder`` but the checksums, by relative name."""
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / _CHECKSUMS:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            sums[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256}
    return sums


def _compare_checksums(folder: Path) -> None:
    """Check that ``folder`` contains the files that were written, and their bytes.

    Raises:
        OSError, ValueError: it does not.
    """
    expected, there = read_json(folder / _CHECKSUMS), _checksums(folder)
    for name in sorted({_PROGRESS, *expected, *there}):
        if name not in there:
            raise ValueError(f"{name} is missing")
        if there[name] != expected.get(name):
            raise ValueError(f"{name} is not the file that was written")


def _sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _sync(path)


def _sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {Path(str(error.filename)).name}" if error.filename else "")
    return first_line(error)
