"""Losses, gradients and weights that are infinite or NaN: the run stops, or skips the step."""

from hybridner.batches.batch import epoch_order
from hybridner.errors import InputError
from hybridner.model.finite import nonfinite_in
from hybridner.runs.checkpoints import CheckpointStore
from hybridner.runs.records import Progress, Records
from hybridner.training.job import TrainingJob
from hybridner.training.saving import last_checkpoint

MOST_SKIPPED_IN_ROW = 10
"""Steps in a row that may be skipped; with more, the fault is not in a batch."""
_SHOWN_SENTENCES = 3


class NonfiniteSteps:
    """The steps of a run that are not finite.

    With ``--on-nonfinite skip`` the learner has skipped such a step and reports its loss as NaN. Otherwise a gradient
    that is not finite makes the weights NaN, and with them the loss of the next step.
    """

    def __init__(self, job: TrainingJob, records: Records) -> None:
        self._job, self._records = job, records
        self._skips = job.options.run.on_nonfinite == "skip"
        self._trouble: tuple[int, str] | None = None

    def take(self, step: int, batch: int, loss_sum: float, progress: Progress) -> None:
        """Count a step and its batch in the epoch (both from 1) as skipped, or remember to stop for it."""
        where, sentences = self._place(step, progress.epoch, batch)
        if not self._skips:
            self._remember(step, f"{where}: the loss is {loss_sum}")
            return
        progress.skipped_steps += 1
        progress.skipped_in_row += 1
        record = {"event": "skipped", "step": step, "epoch": progress.epoch + 1, "batch": batch}
        self._records.add({**record, "sentences": sentences})
        if progress.skipped_steps == 1:
            self._job.reporter.sentence(
                f"{where}: skipped, because its loss or gradient is not finite; {self._job.run.metrics} lists each "
                "skipped step"
            )
        if progress.skipped_in_row > MOST_SKIPPED_IN_ROW:
            self._remember(step, f"{where}: {progress.skipped_in_row} steps in a row were not finite")

    def check_state(self, step: int, progress: Progress) -> None:
        """Remember to stop after ``step`` if a weight or a moment is not finite."""
        if what := nonfinite_in(self._job.learner.snapshot()):
            where, _ = self._place(step, progress.epoch, progress.batch)
            self._remember(step, f"{where}: {what} is not finite, perhaps since an earlier step of this epoch")

    def stop_if_any(self, step: int, checkpoints: CheckpointStore) -> None:
        """Stop if a step up to ``step`` was not finite: every process has accounted for these, so all stop together.

        Raises:
            InputError: the step, its batch and sentences, the last checkpoint, and what to change.
        """
        if self._trouble is None or self._trouble[0] > step:
            return
        checkpoints.wait()
        advice = "lower --learning-rate, warm up (--warmup-steps) or clip (--clip-norm 1) in a new run"
        if not self._skips:
            advice += f", or skip such steps: {self._job.run.resume_command(self._job.backend)} --on-nonfinite skip"
        raise InputError(f"{self._trouble[1]}; {last_checkpoint(checkpoints)}; {advice}")

    def _remember(self, step: int, what: str) -> None:
        self._trouble = self._trouble or (step, what)

    def _place(self, step: int, epoch: int, batch: int) -> tuple[str, list[str]]:
        """Describe a step and its batch (from 1) of an epoch (from 0), and list ``file:line`` of some sentences."""
        train, size = self._job.encoded["train"], self._job.options.optimization.batch_size
        order = epoch_order(len(train), self._job.options.optimization.seed, epoch)
        examples = order[(batch - 1) * size : batch * size]
        split, path = self._job.corpus.splits["train"], self._job.corpus.reports["train"].path
        sentences = sorted({*train.sentence[examples].tolist()})
        shown = [f"{path}:{split[i].line}" for i in sentences[:_SHOWN_SENTENCES]]
        more = f" and {len(sentences) - len(shown)} more" if len(sentences) > len(shown) else ""
        return f"step {step:,} (epoch {epoch + 1}, batch {batch}: {', '.join(shown)}{more})", shown
