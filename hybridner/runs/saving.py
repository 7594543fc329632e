"""What a run saves of where it stands, and how it goes on from there."""

import dataclasses
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.errors import CannotWriteError, InputError
from hybridner.model.finite import nonfinite_in
from hybridner.model.learner import Learner
from hybridner.model.twins import Backend, versions
from hybridner.runs.checkpoints import CheckpointStore, Restored, open_checkpoints
from hybridner.runs.records import Progress, Records
from hybridner.runs.run_dir import RunDir
from hybridner.saved.model import model_config

# What a disk that is full, read-only or gone says; errors of other kinds are not the disk's.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT}
_DISK |= {errno.ENOTDIR, errno.ESTALE}


class Saving:
    """The checkpoints of a run in progress; its first process writes them, and all read the same."""

    def __init__(
        self,
        backend: Backend,
        options: Options,
        run: RunDir,
        labels: tuple[str, ...],
        config: ModelConfig,
        learner: Learner,
        records: Records,
    ) -> None:
        self._backend, self._options, self._run, self._learner = backend, options, run, learner
        self._records, self._writes = records, learner.rank == 0
        self._config = config
        self._of = {"model": dataclasses.asdict(config), "labels": list(labels)}
        self._computed = {
            "backend": backend,
            "device": learner.device,
            "spread": learner.spread,
            # Sums on a CPU depend on the number of threads.
            "threads": _threads(backend),
            **versions(backend),
        }
        self._saved_at = time.monotonic()
        self.store: CheckpointStore

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the checkpoints, and wait in the end until all are on disk.

        Raises:
            CannotWriteError: what the block leaves cannot be written any more: with where the run stands.
        """
        try:
            if self._writes:
                self.store = open_checkpoints(self._backend, self._run.checkpoints, self._options.run.keep_checkpoints)
            self._learner.barrier()  # the first has tidied up, and the others see what is there
            if not self._writes:
                self.store = open_checkpoints(self._backend, self._run.checkpoints, read_only=True)
            try:
                yield
            finally:
                self.store.close()
        except CannotWriteError as error:
            raise CannotWriteError(f"{error}; {self._where_it_stands()}") from error
        except OSError as error:
            if error.errno not in _DISK:
                raise
            what = f"{error.filename or self._run.folder}: cannot be written ({error.strerror})"
            raise CannotWriteError(f"{what}; {self._where_it_stands()}") from error

    def newest(self) -> Restored:
        """The newest whole checkpoint, the same in all processes, and what there is to say about it.

        Raises:
            InputError: none is whole, or they are of another model.
        """
        restored = self.store.restore() if self._writes else None
        step = self._learner.agree(0 if restored is None else restored.state.step)
        state, progress, notes = self.store.restore(step) if restored is None else restored
        where = self._run.checkpoints / str(step)
        if model_config(progress.get("model"), where) != self._config:
            raise InputError(f"{where}: made for model {progress.get('model')}, and the data give {self._of['model']}")
        if progress.get("labels") != self._of["labels"]:
            raise InputError(
                f"{where}: made for labels {progress.get('labels')}, and the data give {self._of['labels']}"
            )
        computed = progress.get("computed")
        before = computed if isinstance(computed, dict) else {}
        changed = [
            f"{name} {before.get(name)} → {value}"
            for name, value in self._computed.items()
            if before.get(name) != value
        ]
        if changed:
            notes = [*notes, f"{', '.join(changed)}: numbers agree up to rounding, no longer bit for bit"]
        return Restored(state, progress, notes)

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint is due after ``step`` by the number of steps or the time that has gone by."""
        every = self._options.run.checkpoint_every
        by_steps = every is not None and step % every == 0
        return by_steps or time.monotonic() - self._saved_at >= 60 * self._options.run.checkpoint_minutes

    def save(self, progress: Progress) -> None:
        """Save, in the background, where the run stands; but nothing that is not finite.

        Raises:
            CannotWriteError: the checkpoint before it could not be saved.
        """
        self._saved_at = time.monotonic()
        if not self._writes:
            return
        state = self._learner.snapshot()
        if nonfinite_in(state):  # the next losses tell, or the end of the epoch
            return
        progress.metrics_bytes = self._records.sync()
        saved: dict[str, Any] = {"progress": dataclasses.asdict(progress), "computed": self._computed, **self._of}
        self.store.save(state, saved, None if progress.best is None else progress.best["step"])

    def _where_it_stands(self) -> str:
        step = open_checkpoints(self._backend, self._run.checkpoints, read_only=True).latest_step()
        saved = "no checkpoint is there yet" if step is None else f"the checkpoint of step {step:,} is there"
        return f"{saved}; when it can be written again, go on with: {self._run.resume_command(self._backend)}"


def _threads(backend: Backend) -> int:
    """How many threads compute on a CPU."""
    told = os.environ.get("OMP_NUM_THREADS", "") if backend == "torch" else ""
    if told.isdecimal():
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
