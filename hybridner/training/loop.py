"""The one training loop: it drives either twin through :class:`hybridner.model.learner.Probe`."""

import math
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

from hybridner.batches.batch import Batch, training_batches
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import ShapePlan
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.corpora.corpus import Corpus
from hybridner.display.console import Reporter, TrainingBar
from hybridner.errors import InputError
from hybridner.model.finite import nonfinite_in
from hybridner.model.learner import Probe, StepMetrics
from hybridner.model.memory import IN_TRAINING, MemoryWatch
from hybridner.model.twins import Backend
from hybridner.model.weights import initial_weights
from hybridner.runs.records import Progress, Records, TrainingResult
from hybridner.runs.run_dir import RunDir
from hybridner.runs.saving import Saving
from hybridner.text.tokenizer import WordTokenizer
from hybridner.training.nonfinite import MOST_SKIPPED_IN_ROW, Trouble, before_skipping, explain, steps_from
from hybridner.training.pace import Pace, duration
from hybridner.training.selection import Selection
from hybridner.training.signals import Interrupted, Stopped, StopSignals
from hybridner.training.summary import Workload

_STEPS_IN_FLIGHT = 2
_STEPS_BETWEEN_AGREEMENTS = 5


class TrainingLoop:
    """A run in progress: epochs, evaluation, best model, checkpoints, logging."""

    def __init__(
        self,
        backend: Backend,
        options: Options,
        run: RunDir,
        reporter: Reporter,
        corpus: Corpus,
        encoded: dict[str, Encoded],
        tokenizer: WordTokenizer,
        config: ModelConfig,
        learner: Probe,
    ) -> None:
        self.backend, self.options, self.run_dir, self.reporter = backend, options, run, reporter
        self.corpus, self.encoded, self.tokenizer = corpus, encoded, tokenizer
        self.config, self.learner = config, learner
        self.is_first = learner.rank == 0
        self.plan = ShapePlan(encoded["train"].lengths, options.optimization.batch_size, learner.row_multiple)
        self.work = Workload(options, config, encoded, self.plan)
        self.progress = Progress()
        self.records = Records(run, writes=self.is_first)
        self.signals = StopSignals()
        self.pace, self.told_time_left = Pace(), False
        self.memory = MemoryWatch(IN_TRAINING)
        self.trouble: Trouble | None = None
        self.saving = Saving(backend, options, run, corpus.labels, config, learner, self.records)
        self.selection = Selection(backend, options, run, corpus, encoded, tokenizer, config, learner, self.signals)

    def run(self) -> TrainingResult:
        """Train from the start or from the newest checkpoint to the end, then score the best model.

        Raises:
            Stopped: Ctrl-C or SIGTERM came; where the run stands is saved.
            InputError: another run is at work in the folder, it cannot be written any more, or the loss is not finite.
        """
        try:
            with self.run_dir.locked() if self.is_first else nullcontext():
                return self._run()
        except Stopped as stop:
            self.reporter.line(str(stop))
            raise

    def _run(self) -> TrainingResult:
        resumed = self.options.run.resume and self.run_dir.holds_run()
        if not resumed and self.is_first:
            self.run_dir.create(self.options, self.backend)
        with self.saving.opened():
            if resumed and self.saving.store.latest_step() is not None:
                done = self._restore()
                if done is not None:
                    self.reporter.line(f"{self.run_dir.folder}: this run has finished; nothing to do")
                    return self._result(done)
            else:
                if resumed:
                    self.reporter.line(f"{self.run_dir.folder}: no checkpoint yet, starting anew")
                if self.is_first:
                    self.run_dir.metrics.unlink(missing_ok=True)
                    self.tokenizer.save(self.run_dir.tokenizer)
                self.learner.init(initial_weights(self.config, self.options.optimization.seed))
            self._train()
            self.saving.store.wait()
            return self._test()

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.progress.epoch * self.work.batches_per_epoch + self.progress.batch

    def _restore(self) -> dict[str, Any] | None:
        """Go on from the newest checkpoint; the final record if the run has finished."""
        state, saved, notes = self.saving.newest()
        for note in notes:
            self.reporter.sentence(note)
        self.progress = Progress.of(saved.get("progress"), state.step)
        self.learner.restore(state)
        if self._finished():
            done = self.records.final()
            if done is not None:
                return done
        if self.is_first:
            # The lines after the checkpoint will be written again.
            if missing := self.records.cut(self.progress.metrics_bytes):
                self.reporter.sentence(f"{self.run_dir.metrics}: {missing:,} bytes of it are gone; it goes on without")
            self.run_dir.write_options(self.options, self.backend)
            if self.progress.best is not None and (note := self.selection.mend(self.progress.best, self.saving.store)):
                self.reporter.sentence(note)
        self.reporter.sentence(f"resumed at step {state.step:,}, epoch {self.progress.epoch + 1}")
        return None

    def _finished(self) -> bool:
        ended = self.step >= self.work.total_steps and self.progress.evaluated_at == self.step
        return bool(self.progress.stopped) or ended

    def _train(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self.signals)
            bar = stack.enter_context(self.reporter.training_bar(self.step, self.work.total_steps))
            stack.enter_context(self.records.opened(self.step))
            while not self._finished():
                with self.memory:
                    stopped_by = self._epoch(self.step, bar)
                stopped_by = stopped_by or self._end_epoch()
                self.saving.save(self.progress)
                if stopped_by := stopped_by or self._asked_to_stop():
                    self.saving.store.wait()
                    raise self._stopped(stopped_by)

    def _epoch(self, step: int, bar: TrainingBar) -> int:
        """Train to the end of the epoch or of the run, or until a signal comes; the signal's number, or 0."""
        progress, options = self.progress, self.options
        # The losses of the last steps stay on the device, so that reading them never makes it wait for the host.
        pending: deque[tuple[int, Batch, StepMetrics]] = deque()
        begun = time.perf_counter() - progress.epoch_seconds
        stopped_by = 0
        self.pace.rest()
        for batch in self._batches(progress.epoch, progress.batch):
            if step == self.work.total_steps or (stopped_by := self._asked_to_stop(step)):
                break
            self.pace.begin(batch.shape)
            self.memory.note(batch.shape)
            metrics = self.learner.step(batch, options.optimization.learning_rate_at(step, self.work.total_steps))
            step += 1
            progress.batch += 1
            pending.append((step, batch, metrics))
            at_end = step == self.work.total_steps or progress.batch == self.work.batches_per_epoch
            saves = self.saving.is_due(step) and not at_end  # there is one at the end anyway
            while len(pending) > (0 if saves else _STEPS_IN_FLIGHT):
                self._account(*pending.popleft())
            self._stop_if_nonfinite(step - _STEPS_IN_FLIGHT)
            progress.epoch_seconds = time.perf_counter() - begun
            bar.update(step, progress.epoch + 1, progress.epoch_mean_loss, progress.pieces_per_second)
            self._tell_time_left(step)
            self.saving.store.check()
            if saves:
                self.saving.save(progress)
                self.pace.rest()
        for entry in pending:
            self._account(*entry)
        self._stop_if_nonfinite(step, at_end=True)
        progress.epoch_seconds = time.perf_counter() - begun
        bar.update(step, progress.epoch + 1, progress.epoch_mean_loss, progress.pieces_per_second)
        return stopped_by

    def _batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on, so far as they are this process's."""
        return training_batches(
            self.encoded["train"],
            self.plan,
            batch_size=self.options.optimization.batch_size,
            seed=self.options.optimization.seed,
            epoch=epoch,
            pad_token_id=self.config.pad_token_id,
            start=start,
            part=(self.learner.rank, self.learner.world_size),
        )

    def _account(self, step: int, batch: Batch, metrics: StepMetrics) -> None:
        """Wait for the oldest step in flight and take over its loss."""
        progress = self.progress
        loss_sum, num_labels = float(metrics.loss_sum), int(metrics.num_labels)
        self.pace.end(batch.num_pieces)
        progress.epoch_pieces += batch.num_pieces
        if math.isfinite(loss_sum):
            progress.epoch_loss += loss_sum
            progress.epoch_labels += num_labels
            progress.log_loss += loss_sum
            progress.log_labels += num_labels
            progress.skipped_in_row = 0
        elif self.options.run.on_nonfinite == "skip":
            self._account_skipped(step)
        elif self.trouble is None:
            self.trouble = Trouble(step, f"the loss is {loss_sum}")
        if step % self.options.run.log_every == 0 and progress.log_labels:
            self.records.add({"event": "step", "step": step, "loss": progress.log_loss / max(progress.log_labels, 1)})
            progress.log_loss, progress.log_labels = 0.0, 0

    def _account_skipped(self, step: int) -> None:
        """Count a step that the learner has left out because it was not finite."""
        progress = self.progress
        progress.skipped_steps += 1
        progress.skipped_in_row += 1
        epoch, batch = progress.epoch + 1, step - progress.epoch * self.work.batches_per_epoch
        self.records.add({"event": "skipped", "step": step, "epoch": epoch, "batch": batch})
        if progress.skipped_steps == 1:
            self.reporter.sentence(
                f"step {step:,} (epoch {epoch}, batch {batch}) was skipped: its loss or gradient is not finite; "
                f"{self.run_dir.metrics} names each such step"
            )
        if progress.skipped_in_row > MOST_SKIPPED_IN_ROW and self.trouble is None:
            first = step - progress.skipped_in_row + 1
            self.trouble = Trouble(step, f"{progress.skipped_in_row} steps in a row were not finite", since=first)

    def _stop_if_nonfinite(self, step: int, at_end: bool = False) -> None:
        """Stop for what went wrong up to ``step``: so late that all processes know of it, and stop together.

        Args:
            step: the last step that every process has accounted for.
            at_end: of the epoch, or of what is done of it; then the state is looked into, too.

        Raises:
            InputError: where it began, and what to do.
        """
        if at_end and self.trouble is None and (what := nonfinite_in(self.learner.snapshot())):
            self.trouble = Trouble(step, f"{what} is not finite")
        if self.trouble is None or self.trouble.step > step:
            return
        step, what, since = self.trouble
        self.reporter.sentence(f"step {step:,}: {what}; looking for where it began")
        self.saving.store.wait()
        self.learner.barrier()  # what the first process has saved, the others see
        if self.saving.store.latest_step() is None:
            self.learner.init(initial_weights(self.config, self.options.optimization.seed))
            start = self.learner.snapshot()
        else:
            start = self.saving.newest().state
        saved, start = start.step, before_skipping(start, since) if since else start
        steps = steps_from(
            self._batches,
            lambda done: self.options.optimization.learning_rate_at(done, self.work.total_steps),
            self.work.batches_per_epoch,
            start.step,
            until=step,
        )
        found = explain(
            self.learner,
            start,
            steps,
            since=since,
            saved=saved,
            place_of=self._place_of,
            resume=self.run_dir.resume_command(self.backend),
        )
        raise InputError(f"step {step:,}: {what}; {found}")

    def _place_of(self, example: int) -> str:
        """Where an example of the train split stands."""
        sentence = self.corpus.splits["train"][int(self.encoded["train"].sentence[example])]
        return f"{self.corpus.reports['train'].path}:{sentence.line}"

    def _tell_time_left(self, step: int) -> None:
        if self.pace.is_known and not self.told_time_left:
            self.told_time_left = True
            rate = self.pace.pieces_per_second
            left = duration(self.work.seconds_left(step, rate))
            self.reporter.sentence(f"at {rate:,.0f} pieces/s about {left} to go, evaluation included")

    def _end_epoch(self) -> int:
        """Score the dev split, keep the model if it is the best, and write down what happened.

        Returns:
            The number of the signal that came while the split was scored, or 0; then the epoch has not ended.
        """
        progress, step = self.progress, self.step
        try:
            scores, valid = self.selection.score("valid")
        except Interrupted:
            return self.signals.received
        whole = progress.batch == self.work.batches_per_epoch
        epoch = progress.epoch + 1
        better = progress.best is None or scores.f1 > progress.best["valid"]["f1"]
        if better:
            progress.best = {"epoch": epoch, "step": step, "valid": valid}
            self.selection.keep(progress.best)
        if whole:
            progress.epochs_without_better = 0 if better else progress.epochs_without_better + 1
        self.records.add(
            {
                "event": "epoch",
                "epoch": epoch,
                "step": step,
                "whole_epoch": whole,
                "train_loss": progress.epoch_mean_loss,
                "learning_rate": self.options.optimization.learning_rate_at(step - 1, self.work.total_steps),
                "valid": valid,
                "pieces_per_second": round(progress.pieces_per_second, 1),
                "seconds": round(progress.epoch_seconds, 3),
            }
        )
        self.reporter.sentence(
            f"epoch {epoch}: loss {progress.epoch_mean_loss:.4f}, dev F1 {scores.f1:.4f} (P {scores.precision:.4f}, "
            f"R {scores.recall:.4f}), {progress.pieces_per_second:,.0f} pieces/s{', best so far' if better else ''}"
        )
        self.records.draw()
        if whole:
            progress.begin_epoch(epoch)
        progress.evaluated_at = step
        if self.options.optimization.target_f1 is not None and scores.f1 >= self.options.optimization.target_f1:
            progress.stopped = f"dev F1 reached {self.options.optimization.target_f1}"
        elif (
            self.options.optimization.patience is not None
            and progress.epochs_without_better >= self.options.optimization.patience
        ):
            progress.stopped = f"no better dev F1 for {self.options.optimization.patience} epochs"
        if progress.stopped:
            self.reporter.sentence(f"stopped: {progress.stopped}")
        return 0

    def _test(self) -> TrainingResult:
        """Score the best model on the test split, and end the run."""
        best = self.progress.best
        assert best is not None, "a finished run has ended an epoch"
        if skipped := self.progress.skipped_steps:
            self.reporter.sentence(f"{skipped:,} of {self.step:,} steps were skipped: they were not finite")
        record: dict[str, Any] = {
            "event": "test",
            "epoch": best["epoch"],
            "step": best["step"],
            "valid": best["valid"],
        }
        record["test"] = None
        self.learner.barrier()
        if "test" in self.corpus.splits:
            try:
                with self.signals:
                    scores, record["test"] = self.selection.test()
            except Interrupted:
                raise self._stopped(self.signals.received, "before the test split was scored") from None
            self.reporter.line(f"\ntest split, with the model of epoch {best['epoch']}:")
            self.reporter.line(scores.as_table().text(self.reporter.width))
            self.reporter.sentence(scores.summary())
        self.records.add(record)
        self.records.draw()
        self.reporter.line("")
        self.reporter.rows(self.run_dir.contents())
        return self._result(record)

    def _asked_to_stop(self, step: int = 0) -> int:
        """Number of the signal that any process got, or 0; processes ask each other every few steps."""
        if self.learner.world_size == 1:
            return self.signals.received
        return self.learner.agree(self.signals.received) if step % _STEPS_BETWEEN_AGREEMENTS == 0 else 0

    def _stopped(self, number: int, where: str = "") -> Stopped:
        how = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        where = where or f"at step {self.step:,} of {self.work.total_steps:,}, which is saved"
        return Stopped(f"stopped by {how} {where}; go on with: {self.run_dir.resume_command(self.backend)}", number)

    def _result(self, record: dict[str, Any]) -> TrainingResult:
        return TrainingResult(self.run_dir.folder, record["epoch"], self.step, record["valid"], record["test"])
