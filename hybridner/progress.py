"""Where a run stands, what it came to, and the records it leaves as it goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridner.plots import plot_curves
from hybridner.run_dir import RunDir


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        folder: the run; its ``best`` is the model folder.
        epoch: the epoch with the best dev F1, from 1.
        step: optimizer steps done in all.
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
    """Where the loop stands; saved with each checkpoint, so that a run goes on as if it had not stopped.

    Attributes:
        epoch: epochs that have ended.
        batch: batches done of the one after them.
        epoch_loss: sum of the losses of that epoch's labels.
        epoch_labels: their number.
        epoch_pieces: its word pieces.
        epoch_seconds: the time it took.
        log_loss: sum of the losses since the last line of training loss.
        log_labels: their number.
        best: epoch, step and dev scores of the best model.
        epochs_without_better: whole epochs since then.
        evaluated_at: step of the last evaluation.
        stopped: why the run ended before its last step.
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
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    evaluated_at: int = 0
    stopped: str = ""
    metrics_bytes: int = 0

    @property
    def epoch_mean_loss(self) -> float:
        """Mean loss a label of the epoch so far."""
        return self.epoch_loss / max(self.epoch_labels, 1)

    @property
    def pieces_per_second(self) -> float:
        """Mean rate of the epoch so far."""
        return self.epoch_pieces / max(self.epoch_seconds, 1e-9)

    def begin_epoch(self, epoch: int) -> None:
        """Count from the first batch after ``epoch`` epochs."""
        self.epoch, self.batch = epoch, 0
        self.epoch_loss, self.epoch_labels, self.epoch_pieces, self.epoch_seconds = 0.0, 0, 0, 0.0


class Records:
    """``metrics.jsonl``, ``curves.png`` and TensorBoard's files; silent in all processes but the first."""

    def __init__(self, run: RunDir, writes: bool) -> None:
        self._run, self._writes = run, writes
        self._board: Any = None

    @contextmanager
    def opened(self, step: int) -> Iterator[None]:
        """Keep TensorBoard's file open while the block runs; what it holds beyond ``step`` is taken back."""
        if not self._writes:
            yield
            return
        from tensorboardX import SummaryWriter

        with SummaryWriter(str(self._run.tensorboard), purge_step=step + 1) as self._board:
            yield
        self._board = None

    def add(self, record: dict[str, Any]) -> None:
        """Write a line to ``metrics.jsonl``, and the numbers of an epoch to TensorBoard."""
        if self._writes:
            self._run.append(record)
        if self._board is not None and record["event"] == "epoch":
            for name in ("loss", "learning_rate", "pieces_per_second"):
                key = "train_loss" if name == "loss" else name
                self._board.add_scalar(f"train/{name}", record[key], record["step"])
            for name in ("f1", "precision", "recall"):
                self._board.add_scalar(f"valid/{name}", record["valid"][name], record["step"])

    def draw(self) -> None:
        """Draw the learning curves anew."""
        if self._writes:
            plot_curves(list(self._run.records()), self._run.curves)

    def size(self) -> int:
        """Bytes of ``metrics.jsonl``."""
        return self._run.metrics.stat().st_size if self._writes and self._run.metrics.exists() else 0

    def final(self) -> dict[str, Any] | None:
        """The line that ends a run, if it stands there."""
        return next((record for record in self._run.records() if record["event"] == "test"), None)
