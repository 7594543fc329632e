"""Losses, gradients and weights that are infinite or NaN: a run stops at them, or skips the step."""

from hybridner.batches.batch import epoch_order
from hybridner.errors import InputError
from hybridner.model.finite import nonfinite_in
from hybridner.runs.checkpoints import CheckpointStore
from hybridner.runs.records import Progress, Records
from hybridner.training.job import TrainingJob

MOST_SKIPPED_IN_ROW = 10
"""Steps that may be skipped one after the other; if there are more, the fault is not in a batch."""
_SHOWN_SENTENCES = 3


class NonfiniteSteps:
    """The steps of a run that are not finite.

    With ``--on-nonfinite skip`` the learner has left such a step out and reports its loss as NaN. Without, the loss of
    the next step reveals a gradient that was not finite: weights that are NaN give no other loss.
    """

    def __init__(self, job: TrainingJob, records: Records) -> None:
        self._job, self._records = job, records
        self._skips = job.options.run.on_nonfinite == "skip"
        self._trouble: tuple[int, str] | None = None

    def take(self, step: int, batch: int, loss_sum: float, progress: Progress) -> None:
        """Count ``step`` as skipped, or remember to stop for it.

        Args:
            step: from 1.
            batch: its batch in the epoch, from 1.
            loss_sum: its loss, infinite or NaN.
            progress: counts what is skipped.
        """
        sentences = self._sentences(progress.epoch, batch)
        where = _place(step, progress.epoch, batch, sentences)
        if not self._skips:
            self._remember(step, f"{where}: the loss is {loss_sum}")
            return
        progress.skipped_steps += 1
        progress.skipped_in_row += 1
        record = {"event": "skipped", "step": step, "epoch": progress.epoch + 1, "batch": batch}
        self._records.add({**record, "sentences": sentences[:_SHOWN_SENTENCES]})
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
            sentences = self._sentences(progress.epoch, progress.batch)
            where = _place(step, progress.epoch, progress.batch, sentences)
            self._remember(step, f"{where}: {what} is not finite, perhaps since an earlier step of this epoch")

    def stop_if_any(self, step: int, checkpoints: CheckpointStore) -> None:
        """Stop for what went wrong up to ``step``, which every process has accounted for: all stop together.

        Raises:
            InputError: the step, its batch and sentences, the last checkpoint, and what to change.
        """
        if self._trouble is None or self._trouble[0] > step:
            return
        checkpoints.wait()
        latest = checkpoints.latest_step()
        saved = "there is no checkpoint yet" if latest is None else f"the last checkpoint is that of step {latest:,}"
        advice = "lower --learning-rate, warm up (--warmup-steps) or clip (--clip-norm 1) in a new run"
        if not self._skips:
            advice += f", or skip such steps: {self._job.run.resume_command(self._job.backend)} --on-nonfinite skip"
        raise InputError(f"{self._trouble[1]}; {saved}; {advice}")

    def _remember(self, step: int, what: str) -> None:
        self._trouble = self._trouble or (step, what)

    def _sentences(self, epoch: int, batch: int) -> list[str]:
        """Return ``file:line`` of each sentence in a batch of an epoch (from 0), in the order of the file."""
        train, size = self._job.encoded["train"], self._job.options.optimization.batch_size
        order = epoch_order(len(train), self._job.options.optimization.seed, epoch)
        examples = order[(batch - 1) * size : batch * size]
        split, path = self._job.corpus.splits["train"], self._job.corpus.reports["train"].path
        return [f"{path}:{split[int(i)].line}" for i in sorted({*train.sentence[examples].tolist()})]


def _place(step: int, epoch: int, batch: int, sentences: list[str]) -> str:
    shown = ", ".join(sentences[:_SHOWN_SENTENCES])
    more = f" and {len(sentences) - _SHOWN_SENTENCES} more" if len(sentences) > _SHOWN_SENTENCES else ""
    return f"step {step:,} (epoch {epoch + 1}, batch {batch}: {shown}{more})"
