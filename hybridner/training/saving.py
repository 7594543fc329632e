"""The checkpoints of a run in progress: when it saves them, and how a resumed run checks that they fit."""

import dataclasses
import errno
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from hybridner.corpora.splits import shown_split
from hybridner.errors import CannotWriteError, InputError
from hybridner.model.finite import nonfinite_in
from hybridner.model.twins import Backend, versions
from hybridner.runs.checkpoints import CheckpointStore, Restored, open_checkpoints
from hybridner.runs.records import Progress, Records
from hybridner.saved.model import model_config
from hybridner.text.vocabulary import Vocabulary
from hybridner.training.job import TrainingJob

# The errors of a disk that is full, read-only or gone; another OSError has another cause.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT}
_DISK |= {errno.ENOTDIR, errno.ESTALE}

_VECTORS = "vectors"


class Saving:
    """The checkpoints of a run in progress; the first process writes them, and all processes read the same.

    Attributes:
        store: the checkpoints, once :meth:`opened`.
        changed_splits: the splits that have changed since the checkpoint that :meth:`newest` has read.
    """

    store: CheckpointStore

    def __init__(self, job: TrainingJob, records: Records) -> None:
        self._job, self._records = job, records
        self._model = {"labels": list(job.corpus.labels), "model": dataclasses.asdict(job.config)}
        self._data = {name: split.digest() for name, split in job.corpus.splits.items()}
        if isinstance(job.tokenizer, Vocabulary) and job.tokenizer.vectors is not None:
            self._data[_VECTORS] = job.tokenizer.vectors.digest()
        self._computed = {
            "backend": job.backend,
            "device": job.learner.device,
            "spread": job.learner.spread,
            "threads": _threads(job.backend),  # the rounding of sums on a CPU depends on their number
            **versions(job.backend),
        }
        self._saved_at = time.monotonic()
        self.changed_splits: list[str] = []

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the checkpoints, and at the end wait until all are on disk.

        Raises:
            CannotWriteError: the block cannot write a file of the run; the message names the last checkpoint.
        """
        job = self._job
        try:
            if job.is_first:
                self.store = open_checkpoints(job.backend, job.run.checkpoints, job.options.run.keep_checkpoints)
            job.learner.barrier()  # the first process has tidied up: all see the same checkpoints
            if not job.is_first:
                self.store = open_checkpoints(job.backend, job.run.checkpoints, read_only=True)
            with closing(self.store):
                yield
        except (CannotWriteError, OSError) as error:
            what = str(error)
            if isinstance(error, OSError):
                if error.errno not in _DISK:
                    raise
                what = f"{error.filename or job.run.folder}: cannot be written ({error.strerror})"
            saved = last_checkpoint(open_checkpoints(job.backend, job.run.checkpoints, read_only=True))
            resume = f"when it can be written again, resume with: {job.run.resume_command(job.backend)}"
            raise CannotWriteError(f"{what}; {saved}; {resume}") from error

    def newest(self) -> Restored:
        """Read the newest whole checkpoint, the same in all processes, with notes for the user.

        Raises:
            InputError: none is whole, the data have changed and ``allow_changed_data`` is off, or the checkpoint is of
                another model.
        """
        job = self._job
        restored = self.store.restore() if job.is_first else None
        step = job.learner.agree(0 if restored is None else restored.state.step)
        state, progress, notes = self.store.restore(step) if restored is None else restored
        notes = notes + self._compare_data(progress.get("data"), step)
        where = job.run.checkpoints / str(step)
        saved = {"labels": progress.get("labels"), "model": dataclasses.asdict(model_config(progress["model"], where))}
        for name, value in self._model.items():
            if saved[name] != value:
                raise InputError(f"{where}: made for {name} {saved[name]}, and the data give {value}")
        computed = progress.get("computed")
        old = computed if isinstance(computed, dict) else {}
        changed = [f"{name} {old.get(name)} → {now}" for name, now in self._computed.items() if old.get(name) != now]
        if changed:
            notes.append(f"{', '.join(changed)}: numbers agree up to rounding, no longer bit for bit")
        return Restored(state, progress, notes)

    def is_due(self, step: int) -> bool:
        """Decide whether a checkpoint is due after ``step``, by the number of steps or by the time."""
        options = self._job.options.run
        by_steps = options.checkpoint_every is not None and step % options.checkpoint_every == 0
        return by_steps or time.monotonic() - self._saved_at >= 60 * options.checkpoint_minutes

    def save(self, progress: Progress) -> None:
        """Save the training state and ``progress`` in the background, unless the state is not finite.

        Raises:
            CannotWriteError: the previous checkpoint could not be saved.
        """
        self._saved_at = time.monotonic()
        if not self._job.is_first:
            return
        state = self._job.learner.snapshot()
        if nonfinite_in(state):  # the next losses reveal it, or the end of the epoch
            return
        progress.metrics_bytes = self._records.sync()
        saved = {"progress": dataclasses.asdict(progress), "computed": self._computed, "data": self._data}
        best_step = None if progress.best is None else progress.best["step"]
        self.store.save(state, self._job.config, {**saved, "labels": self._model["labels"]}, best_step)

    def _compare_data(self, saved: Any, step: int) -> list[str]:
        """Compare the data with those of the checkpoint of ``step``; an earlier version saved no digests."""
        old = saved if isinstance(saved, dict) else {}
        names = (
            [] if saved is None else [name for name in {**old, **self._data} if old.get(name) != self._data.get(name)]
        )
        self.changed_splits = names
        if not names:
            return []
        paths = {name: report.path for name, report in self._job.corpus.reports.items()}
        paths[_VECTORS] = str(self._job.options.data.vectors)
        changed = [f"the {_shown(name)} ({paths.get(name, 'no longer there')})" for name in names]
        what = f"{self._job.run.folder}: the data have changed since step {step:,}: {', '.join(changed)}"
        if self._job.options.run.allow_changed_data:
            return [f"{what}; allowed, so scores from before and after are of different data"]
        raise InputError(
            f"{what}; undo the change, start a new run with another --output, or accept it with --allow-changed-data"
        )


def _shown(name: str) -> str:
    return "vectors of words" if name == _VECTORS else f"{shown_split(name)} split"


def last_checkpoint(store: CheckpointStore) -> str:
    """Name the newest checkpoint, for a message."""
    step = store.latest_step()
    return "there is no checkpoint yet" if step is None else f"the last checkpoint is that of step {step:,}"


def _threads(backend: Backend) -> int:
    """Count the threads that compute on a CPU."""
    asked_for = os.environ.get("OMP_NUM_THREADS", "") if backend == "torch" else ""
    if asked_for.isdecimal():
        return int(asked_for)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
