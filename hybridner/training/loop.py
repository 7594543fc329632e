"""The training loop: it drives either backend through :class:`hybridner.model.learner.Learner`."""

import math
import signal
import time
from collections import deque
from contextlib import ExitStack, suppress
from typing import Any, NoReturn

from hybridner.batches.batch import training_batches
from hybridner.display.console import TrainingBar
from hybridner.model.learner import StepMetrics
from hybridner.model.memory import IN_TRAINING, MemoryWatch
from hybridner.model.weights import initial_weights
from hybridner.runs.records import Progress, Records, TrainingResult
from hybridner.training.job import TrainingJob
from hybridner.training.nonfinite import NonfiniteSteps
from hybridner.training.pace import Pace
from hybridner.training.saving import Saving
from hybridner.training.selection import Selection
from hybridner.training.signals import Interrupted, Stopped, StopSignals
from hybridner.training.workload import duration

_STEPS_IN_FLIGHT = 2
_STEPS_BETWEEN_AGREEMENTS = 5


class TrainingLoop:
    """A run in progress: epochs, evaluation, best model, checkpoints, logging."""

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
        self.progress = Progress()
        self.records = Records(job.run, writes=job.is_first)
        self.signals = StopSignals()
        self.pace, self.told_time_left = Pace(), False
        self.memory = MemoryWatch(IN_TRAINING)
        self.saving = Saving(job, self.records)
        self.selection = Selection(job, self.signals)
        self.nonfinite = NonfiniteSteps(job, self.records)
        # Steps done beyond those that the ended epochs take with today's data: 0 unless the train split has changed.
        self.extra_steps = 0
        # Read each loss two steps late, so the device never idles while the host waits.
        self.in_flight: deque[tuple[int, int, StepMetrics]] = deque()
        self.begun = time.perf_counter()

    def run(self) -> TrainingResult:
        """Train from the start or from the newest checkpoint to the end, then score the best model.

        Raises:
            Stopped: Ctrl-C or SIGTERM came; the run is saved.
            InputError: another process trains in the folder, it cannot be written, or the loss is not finite.
        """
        job = self.job
        with ExitStack() as stack:
            if job.is_first:
                stack.enter_context(job.run.locked())
                if not job.resumes:
                    job.run.create(job.options, job.backend)
            stack.enter_context(self.saving.opened())
            if job.resumes and self.saving.store.latest_step() is not None:
                if (done := self._restore()) is not None:
                    job.reporter.line(f"{job.run.folder}: this run has finished; nothing to do")
                    return self._result(done)
            else:
                if job.resumes:
                    job.reporter.line(f"{job.run.folder}: no checkpoint yet, starting from the first step")
                if job.is_first:
                    job.run.metrics.unlink(missing_ok=True)
                    job.tokenizer.save(job.run.tokenizer)
                job.learner.init(initial_weights(job.config, job.options.optimization.seed))
            self._train()
            self.saving.store.wait()
            return self._test()

    @property
    def step(self) -> int:
        """Count the optimizer steps done."""
        return self.extra_steps + self.progress.epoch * self.job.work.batches_per_epoch + self.progress.batch

    @property
    def total_steps(self) -> int:
        """Count the optimizer steps of the whole run."""
        limit = self.extra_steps + self.job.options.optimization.epochs * self.job.work.batches_per_epoch
        return min(limit, self.job.options.optimization.max_steps or limit)

    def _restore(self) -> dict[str, Any] | None:
        """Resume from the newest checkpoint, or return the final record of a run that has finished."""
        job = self.job
        state, saved, notes = self.saving.newest()
        for note in notes:
            job.reporter.sentence(note)
        self.progress = Progress.of(saved.get("progress"), state.step)
        if "train" in self.saving.changed_splits or self.progress.batch > job.work.batches_per_epoch:
            self.progress.begin_epoch(self.progress.epoch)
        self.extra_steps = state.step - self.step
        if self._finished() and (done := self.records.final()) is not None:
            return done
        if job.is_first:
            # The run writes the lines after the checkpoint again.
            if missing := self.records.cut(self.progress.metrics_bytes):
                job.reporter.sentence(f"{job.run.metrics}: its last {missing:,} bytes are missing; resuming without")
            job.run.write_options(job.options, job.backend)
            if self.progress.best and (note := self.selection.repair(self.progress.best, self.saving.store)):
                job.reporter.sentence(note)
        if self.progress.best:
            self.progress.best, note = self.selection.rescore(self.progress.best)
            if note:
                job.reporter.sentence(note)
        job.learner.restore(state)
        job.reporter.sentence(f"resumed at step {state.step:,}, epoch {self.progress.epoch + 1}")
        return None

    def _finished(self) -> bool:
        ended = self.step >= self.total_steps and self.progress.evaluated_at == self.step
        return bool(self.progress.stopped) or ended

    def _train(self) -> None:
        progress_bar = self.job.reporter.training_bar(self.step, self.total_steps)
        with self.signals, progress_bar as bar, self.records.opened(self.step):
            while not self._finished():
                with self.memory:
                    stopped_by = self._epoch(self.step, bar)
                if not stopped_by:
                    with suppress(Interrupted):  # all processes leave, and agree below
                        self._end_epoch()
                self.saving.save(self.progress)
                if stopped_by := stopped_by or self._asked_to_stop():
                    self.saving.store.wait()
                    self._stop(stopped_by, f"at step {self.step:,} of {self.total_steps:,}, which is saved")

    def _epoch(self, step: int, bar: TrainingBar) -> int:
        """Train to the end of the epoch or the run, or until a signal comes; return the signal's number, or 0."""
        job, progress, options = self.job, self.progress, self.job.options.optimization
        begun = time.perf_counter() - progress.epoch_seconds
        stopped_by = 0
        self.pace.rest()
        for batch in training_batches(
            job.encoded["train"],
            job.plan,
            batch_size=options.batch_size,
            seed=options.seed,
            epoch=progress.epoch,
            pad_token_id=job.config.input.pad_token_id,
            start=progress.batch,
            part=(job.learner.rank, job.learner.world_size),
        ):
            if step == self.total_steps or (stopped_by := self._asked_to_stop(step)):
                break
            self.pace.begin(batch.shape)
            self.memory.note(batch.shape)
            metrics = job.learner.step(batch, options.learning_rate_at(step, self.total_steps))
            step += 1
            progress.batch += 1
            self.in_flight.append((step, batch.num_pieces, metrics))
            at_end = step == self.total_steps or progress.batch == job.work.batches_per_epoch
            saves = self.saving.is_due(step) and not at_end  # the epoch's end saves anyway
            self._read_losses(0 if saves else _STEPS_IN_FLIGHT)
            self.nonfinite.stop_if_any(step - _STEPS_IN_FLIGHT, self.saving.store)
            progress.epoch_seconds = time.perf_counter() - begun
            bar.update(step, progress.epoch + 1, progress.epoch_mean_loss, progress.pieces_per_second)
            if self.pace.is_known and not self.told_time_left:
                self.told_time_left, rate = True, self.pace.pieces_per_second
                left = duration(job.work.seconds_left(self.total_steps - step, rate))
                job.reporter.sentence(f"about {left} to go, evaluation included{self._rate(rate)}")
            self.saving.store.check()
            if saves:
                self.saving.save(progress)
                self.pace.rest()
        self._read_losses(0)
        self.nonfinite.check_state(step, progress)
        self.nonfinite.stop_if_any(step, self.saving.store)
        progress.epoch_seconds = time.perf_counter() - begun
        bar.update(step, progress.epoch + 1, progress.epoch_mean_loss, progress.pieces_per_second)
        return stopped_by

    def _read_losses(self, most_in_flight: int) -> None:
        """Wait for the oldest steps until at most so many are in flight, and add up their losses."""
        progress = self.progress
        while len(self.in_flight) > most_in_flight:
            step, num_pieces, metrics = self.in_flight.popleft()
            loss_sum, num_labels = float(metrics.loss_sum), int(metrics.num_labels)
            self.pace.end(num_pieces)
            progress.epoch_pieces += num_pieces
            if math.isfinite(loss_sum):
                progress.epoch_loss += loss_sum
                progress.epoch_labels += num_labels
                progress.log_loss += loss_sum
                progress.log_labels += num_labels
                progress.skipped_in_row = 0
            else:
                self.nonfinite.take(step, step - self.step + progress.batch, loss_sum, progress)
            if step % self.job.options.run.log_every == 0 and progress.log_labels:
                self.records.add({"event": "step", "step": step, "loss": progress.log_loss / progress.log_labels})
                progress.log_loss, progress.log_labels = 0.0, 0

    def _rate(self, pieces_per_second: float) -> str:
        return f", {pieces_per_second:,.0f} pieces/s" if self.job.options.run.verbose else ""

    def _end_epoch(self) -> None:
        """Score the dev split, keep the model if it is the best so far, and record the epoch.

        Raises:
            Interrupted: a signal came while the split was scored; the epoch has not ended.
        """
        progress, step, options = self.progress, self.step, self.job.options.optimization
        scores, valid = self.selection.score("valid")
        epoch, whole = progress.epoch + 1, progress.batch == self.job.work.batches_per_epoch
        better = progress.best is None or scores.f1 > progress.best["valid"]["f1"]
        if better:
            progress.best = {"epoch": epoch, "step": step, "valid": valid}
            self.selection.keep(progress.best)
        record: dict[str, Any] = {"event": "epoch", "epoch": epoch, "step": step, "whole_epoch": whole}
        record["train_loss"] = progress.epoch_mean_loss
        record["learning_rate"] = options.learning_rate_at(step - 1, self.total_steps)
        record |= {"valid": valid, "pieces_per_second": round(progress.pieces_per_second, 1)}
        self.records.add({**record, "seconds": round(progress.epoch_seconds, 3)})
        self.job.reporter.sentence(
            f"epoch {epoch} of {options.epochs}: loss {progress.epoch_mean_loss:.4f}, dev F1 {scores.f1:.4f} "
            f"(P {scores.precision:.4f}, R {scores.recall:.4f}), {duration(progress.epoch_seconds)}"
            f"{self._rate(progress.pieces_per_second)}{', best so far' if better else ''}"
        )
        self.records.draw()
        if whole:
            progress.epochs_without_better = 0 if better else progress.epochs_without_better + 1
            progress.begin_epoch(epoch)
        progress.evaluated_at = step
        if options.target_f1 is not None and scores.f1 >= options.target_f1:
            progress.stopped = f"dev F1 reached {options.target_f1}"
        elif options.patience is not None and progress.epochs_without_better >= options.patience:
            progress.stopped = f"no better dev F1 for {options.patience} epochs"
        if progress.stopped:
            self.job.reporter.sentence(f"stopped: {progress.stopped}")

    def _test(self) -> TrainingResult:
        """Score the best model on the test split, and end the run."""
        job, best = self.job, self.progress.best
        assert best is not None, "a finished run has ended an epoch"
        if skipped := self.progress.skipped_steps:
            job.reporter.sentence(f"{skipped:,} of {self.step:,} steps were skipped: they were not finite")
        record: dict[str, Any] = {"event": "test", **best, "test": None}
        job.learner.barrier()
        result = f"dev F1 {best['valid']['f1']:.4f} (epoch {best['epoch']})"
        if "test" in job.corpus.splits:
            try:
                with self.signals:
                    scores, record["test"] = self.selection.test()
            except Interrupted:
                self._stop(self.signals.received, "before the test split was scored")
            job.reporter.line(f"\ntest split, with the model of epoch {best['epoch']}:")
            job.reporter.line(scores.as_table().text(job.reporter.width))
            job.reporter.sentence(scores.summary())
            result += f", test F1 {scores.f1:.4f}"
        self.records.add(record)
        self.records.draw()
        job.reporter.line("")
        job.reporter.sentence(f"finished in {duration(time.perf_counter() - self.begun)}: {result}")
        job.reporter.rows(job.run.results())
        return self._result(record)

    def _asked_to_stop(self, step: int = 0) -> int:
        """Return the number of the signal that any process got, or 0; processes ask each other every few steps."""
        if self.job.learner.world_size > 1 and step % _STEPS_BETWEEN_AGREEMENTS:
            return 0
        return self.job.learner.agree(self.signals.received)

    def _stop(self, number: int, where: str) -> NoReturn:
        how = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        message = f"stopped by {how} {where}; resume with: {self.job.run.resume_command(self.job.backend)}"
        self.job.reporter.line(message)
        raise Stopped(message, number) from None

    def _result(self, record: dict[str, Any]) -> TrainingResult:
        return TrainingResult(self.job.run.folder, record["epoch"], self.step, record["valid"], record["test"])
