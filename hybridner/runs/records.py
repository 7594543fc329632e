"""The progress, the result and the records of a run."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybridner.errors import InputError, needs
from hybridner.runs.curves import plot_curves
from hybridner.runs.run_dir import RunDir
from hybridner.runs.tensorboard import Board


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a run.

    Attributes:
        folder: the run; its ``best`` is the model folder.
        epoch: the epoch with the best dev F1, from 1.
        step: number of optimizer steps.
        valid: dev scores of the best model, as in ``metrics.jsonl``.
        test: its test scores, or None without a test split.
    """

    folder: Path
    epoch: int
    step: int
    valid: dict[str, Any]
    test: dict[str, Any] | None


@dataclass(slots=True)
class Progress:
    """The loop's counters, saved with each checkpoint, so that a resumed run equals one that was never stopped.

    Attributes:
        epoch: epochs that have ended.
        batch: batches done in the current epoch; the next four fields are sums over these.
        epoch_loss: losses.
        epoch_labels: labels.
        epoch_pieces: word pieces.
        epoch_seconds: seconds.
        log_loss: sum of the losses since the last line of training loss.
        log_labels: number of labels since then.
        skipped_steps: steps of the run that were skipped because they were not finite.
        skipped_in_row: skipped steps since the last finite one.
        best: epoch, step and dev scores of the best model.
        epochs_without_better: whole epochs since then.
        evaluated_at: step of the last evaluation.
        stopped: reason why the run ended before its last step.
        metrics_bytes: length of ``metrics.jsonl``.
    """

    epoch: int = 0
    batch: int = 0
    epoch_loss: float = 0.0
    epoch_labels: int = 0
    epoch_pieces: int = 0
    epoch_seconds: float = 0.0
    log_loss: float = 0.0
    log_labels: int = 0
    skipped_steps: int = 0
    skipped_in_row: int = 0
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    evaluated_at: int = 0
    stopped: str = ""
    metrics_bytes: int = 0

    @classmethod
    def of(cls, saved: Any, step: int) -> "Progress":
        """Read the progress that a checkpoint of ``step`` contains.

        Raises:
            InputError: a field is unknown, or of another type.
        """
        try:
            progress = cls(**saved)
        except TypeError as error:
            raise InputError(f"the checkpoint of step {step}: its progress cannot be read ({error})") from error
        for name, default in asdict(cls()).items():
            value = getattr(progress, name)
            fits = isinstance(value, dict | None) if name == "best" else type(value) is type(default)
            if not fits or (isinstance(value, int | float) and value < 0):
                raise InputError(f"the checkpoint of step {step}: its progress has {name} {value!r}")
        return progress

    @property
    def epoch_mean_loss(self) -> float:
        """Mean loss per label of the epoch so far."""
        return self.epoch_loss / max(self.epoch_labels, 1)

    @property
    def pieces_per_second(self) -> float:
        """Mean rate of the epoch so far."""
        return self.epoch_pieces / max(self.epoch_seconds, 1e-9)

    def begin_epoch(self, epoch: int) -> None:
        """Start counting at the first batch after ``epoch`` epochs."""
        self.epoch, self.batch = epoch, 0
        self.epoch_loss, self.epoch_labels, self.epoch_pieces, self.epoch_seconds = 0.0, 0, 0, 0.0


def left_out() -> dict[str, str]:
    """Explain for each optional record how to install the package it needs; "" if that is installed."""
    optional = {"curves.png": ("matplotlib", "plots"), "tensorboard/": ("tensorboardX", "tensorboard")}
    return {name: needs(name, *extra) for name, extra in optional.items()}


class Records:
    """Writer of ``metrics.jsonl``, ``curves.png`` and TensorBoard's files; only the first process writes."""

    def __init__(self, run: RunDir, writes: bool) -> None:
        self._run, self._writes = run, writes
        self._board: Board | None = None
        self._left_out = left_out()

    @contextmanager
    def opened(self, step: int) -> Iterator[None]:
        """Keep TensorBoard's file open while the block runs, and hide what was written after ``step``."""
        if not self._writes or self._left_out["tensorboard/"]:
            yield
            return
        with closing(Board(self._run.tensorboard, purge_step=step + 1)) as self._board:
            yield
        self._board = None

    def add(self, record: dict[str, Any]) -> None:
        """Write a line to ``metrics.jsonl``, and the numbers of an epoch to TensorBoard."""
        if self._writes:
            self._run.append(record)
        if self._board is not None and record["event"] == "epoch":
            numbers = {"train/loss": record["train_loss"]}
            numbers |= {f"train/{name}": record[name] for name in ("learning_rate", "pieces_per_second")}
            numbers |= {f"valid/{name}": record["valid"][name] for name in ("f1", "precision", "recall")}
            self._board.add(numbers, record["step"])

    def draw(self) -> None:
        """Redraw the learning curves."""
        if self._writes and not self._left_out["curves.png"]:
            partial = self._run.curves.with_name("curves.png.partial")
            plot_curves(list(self._run.records()), partial)
            partial.replace(self._run.curves)

    def sync(self) -> int:
        """Force ``metrics.jsonl`` to the disk, and return its size in bytes."""
        if not self._run.metrics.exists():
            return 0
        with self._run.metrics.open("rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def cut(self, size: int) -> int:
        """Cut ``metrics.jsonl`` after ``size`` bytes, and return how many of these are missing."""
        if not self._run.metrics.exists():
            return size
        with self._run.metrics.open("r+b") as file:
            kept = file.read(size).rfind(b"\n") + 1
            file.truncate(kept)
        return size - kept

    def final(self) -> dict[str, Any] | None:
        """Return the record that ends a run, or None."""
        return next((record for record in self._run.records() if record["event"] == "test"), None)
