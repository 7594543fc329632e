"""The one training loop: it drives either twin through :class:`hybridner.learner.Learner`."""

import dataclasses
import math
import os
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridner.config import ModelConfig, TrainingConfig
from hybridner.console import Reporter, TrainingBar
from hybridner.data.batches import training_batches
from hybridner.data.corpus import Corpus
from hybridner.data.encoding import Encoded
from hybridner.data.packing import ShapePlan
from hybridner.data.tokenizer import WordTokenizer
from hybridner.errors import InputError
from hybridner.inference import predict_tags
from hybridner.learner import Checkpoints, Learner, StepMetrics
from hybridner.model_dir import SavedModel, open_model, save_model
from hybridner.plots import plot_curves
from hybridner.run_dir import RunDir
from hybridner.scoring import Scores, score
from hybridner.twins import Backend, open_checkpoints, versions
from hybridner.weights import initial_weights

_STEPS_IN_FLIGHT = 2


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
    """Where the loop stands; saved with each checkpoint, so that a run goes on as if it had not stopped."""

    epoch: int = 0
    batch: int = 0
    epoch_loss: float = 0.0
    epoch_labels: int = 0
    log_loss: float = 0.0
    log_labels: int = 0
    best: dict[str, Any] | None = None
    epochs_without_better: int = 0
    stopped: str = ""
    metrics_bytes: int = 0


class TrainingLoop:
    """A run in progress: epochs, evaluation, best model, checkpoints, logging."""

    def __init__(
        self,
        backend: Backend,
        options: TrainingConfig,
        run: RunDir,
        reporter: Reporter,
        corpus: Corpus,
        encoded: dict[str, Encoded],
        tokenizer: WordTokenizer,
        config: ModelConfig,
        learner: Learner,
    ) -> None:
        self.backend, self.options, self.run_dir, self.reporter = backend, options, run, reporter
        self.corpus, self.encoded, self.tokenizer = corpus, encoded, tokenizer
        self.config, self.learner = config, learner
        self.is_first = learner.rank == 0
        self.plan = ShapePlan(encoded["train"].lengths, options.batch_size, learner.row_multiple)
        self.batches_per_epoch = math.ceil(len(encoded["train"]) / options.batch_size)
        limit = options.epochs * self.batches_per_epoch
        self.total_steps = min(limit, options.max_steps or limit)
        self.progress = Progress()
        self.gold = {
            name: [sentence.tags or () for sentence in split]
            for name, split in corpus.splits.items()
            if name != "train"
        }

    def run(self) -> TrainingResult:
        """Train from the start or from the newest checkpoint to the end, then score the best model."""
        resumed = self.options.resume and self.run_dir.holds_run()
        if not resumed and self.is_first:
            self.run_dir.create(self.options, self.backend)
            self.tokenizer.save(self.run_dir.tokenizer)
        self.learner.barrier()
        checkpoints = open_checkpoints(self.backend, self.run_dir.checkpoints)
        try:
            if resumed and checkpoints.latest_step() is not None:
                state, progress = checkpoints.restore()
                self._check_same_run(progress)
                self.progress = Progress(**progress["progress"])
                self.learner.restore(state)
                if self._finished(state.step):
                    done = self._final_record()
                    if done is not None:
                        self.reporter.line(f"{self.run_dir.folder}: this run has finished; nothing to do")
                        return self._result(done, state.step)
                elif self.is_first:
                    self._truncate_metrics()
                    self.run_dir.write_options(self.options, self.backend)
                self.reporter.line(f"resumed at step {state.step}, epoch {self.progress.epoch + 1}")
            else:
                if resumed:
                    self.reporter.line(f"{self.run_dir.folder}: no checkpoint yet, starting anew")
                    if self.is_first:
                        self.run_dir.metrics.unlink(missing_ok=True)
                self.learner.init(initial_weights(self.config, self.options.seed))
            step = self._train(checkpoints)
        finally:
            checkpoints.close()
        return self._test(step)

    def _finished(self, step: int) -> bool:
        return bool(self.progress.stopped) or step >= self.total_steps

    def _train(self, checkpoints: Checkpoints) -> int:
        step = self.progress.epoch * self.batches_per_epoch + self.progress.batch
        with ExitStack() as stack:
            bar = stack.enter_context(self.reporter.training_bar(step, self.total_steps))
            board = None
            if self.is_first:
                from tensorboardX import SummaryWriter

                board = stack.enter_context(SummaryWriter(str(self.run_dir.tensorboard), purge_step=step + 1))
            while not self._finished(step):
                pieces, seconds = self._epoch(step, bar)
                step = self.progress.epoch * self.batches_per_epoch + self.progress.batch
                whole = self.progress.batch == self.batches_per_epoch
                record = self._end_epoch(step, whole, pieces, seconds)
                if board is not None:
                    board.add_scalar("train/loss", record["train_loss"], step)
                    board.add_scalar("train/learning_rate", record["learning_rate"], step)
                    board.add_scalar("train/pieces_per_second", record["pieces_per_second"], step)
                    for name in ("f1", "precision", "recall"):
                        board.add_scalar(f"valid/{name}", record["valid"][name], step)
                if checkpoints.saves_on_every_process or self.is_first:
                    progress = {
                        "progress": dataclasses.asdict(self.progress),
                        "model": dataclasses.asdict(self.config),
                        "labels": list(self.corpus.labels),
                    }
                    checkpoints.save(self.learner.snapshot(), progress)
        return step

    def _epoch(self, step: int, bar: TrainingBar) -> tuple[int, float]:
        """Train to the end of the epoch or of the run; pieces and seconds it took."""
        progress, options = self.progress, self.options
        batches = training_batches(
            self.encoded["train"],
            self.plan,
            batch_size=options.batch_size,
            seed=options.seed,
            epoch=progress.epoch,
            pad_token_id=self.config.pad_token_id,
            start=progress.batch,
        )
        # The losses of the last steps stay on the device, so that reading them never makes it wait for the host.
        pending: deque[tuple[int, StepMetrics]] = deque()
        begun, pieces = time.perf_counter(), 0
        for batch in batches:
            if step == self.total_steps:
                break
            metrics = self.learner.step(batch, options.learning_rate_at(step, self.total_steps))
            step += 1
            progress.batch += 1
            pieces += batch.num_pieces
            pending.append((step, metrics))
            if len(pending) > _STEPS_IN_FLIGHT:
                self._account(*pending.popleft())
                rate = pieces / (time.perf_counter() - begun)
                bar.update(step, progress.epoch + 1, progress.epoch_loss / max(progress.epoch_labels, 1), rate)
        for entry in pending:
            self._account(*entry)
        return pieces, time.perf_counter() - begun

    def _account(self, step: int, metrics: StepMetrics) -> None:
        progress = self.progress
        loss_sum, num_labels = float(metrics.loss_sum), int(metrics.num_labels)
        if not math.isfinite(loss_sum):
            raise InputError(
                f"step {step}: the loss is {loss_sum}; lower --learning-rate, warm up (--warmup-steps) or clip "
                f"(--clip-norm); {self.run_dir.best} is the best model so far, if an epoch has ended"
            )
        progress.epoch_loss += loss_sum
        progress.epoch_labels += num_labels
        progress.log_loss += loss_sum
        progress.log_labels += num_labels
        if step % self.options.log_every == 0:
            self._record({"event": "step", "step": step, "loss": progress.log_loss / max(progress.log_labels, 1)})
            progress.log_loss, progress.log_labels = 0.0, 0

    def _end_epoch(self, step: int, whole: bool, pieces: int, seconds: float) -> dict[str, Any]:
        """Score the dev split, keep the model if it is the best, and write down what happened."""
        progress = self.progress
        pieces_per_second = pieces / max(seconds, 1e-9)
        epoch = progress.epoch + 1
        scores = self._score("valid")
        train_loss = progress.epoch_loss / max(progress.epoch_labels, 1)
        valid = scores.to_dict()
        better = progress.best is None or scores.f1 > progress.best["valid"]["f1"]
        if better:
            progress.best = {"epoch": epoch, "step": step, "valid": valid}
            if self.is_first:
                save_model(self.run_dir.best, self._model())
        if whole:
            progress.epochs_without_better = 0 if better else progress.epochs_without_better + 1
        record = {
            "event": "epoch",
            "epoch": epoch,
            "step": step,
            "whole_epoch": whole,
            "train_loss": train_loss,
            "learning_rate": self.options.learning_rate_at(step - 1, self.total_steps),
            "valid": valid,
            "pieces_per_second": round(pieces_per_second, 1),
            "seconds": round(seconds, 3),
        }
        self._record(record)
        self.reporter.line(
            f"epoch {epoch}: loss {train_loss:.4f}, dev F1 {scores.f1:.4f} (P {scores.precision:.4f}, "
            f"R {scores.recall:.4f}), {pieces_per_second:,.0f} pieces/s{', best so far' if better else ''}"
        )
        if self.is_first:
            plot_curves(list(self.run_dir.records()), self.run_dir.curves)
        if whole:
            progress.epoch, progress.batch = epoch, 0
            progress.epoch_loss, progress.epoch_labels = 0.0, 0
        if self.options.target_f1 is not None and scores.f1 >= self.options.target_f1:
            progress.stopped = f"dev F1 reached {self.options.target_f1}"
        elif self.options.patience is not None and progress.epochs_without_better >= self.options.patience:
            progress.stopped = f"no better dev F1 for {self.options.patience} epochs"
        if progress.stopped:
            self.reporter.line(f"stopped: {progress.stopped}")
        progress.metrics_bytes = self.run_dir.metrics.stat().st_size if self.is_first else 0
        return record

    def _test(self, step: int) -> TrainingResult:
        """Load the best model from its folder again and score it on the test split."""
        best = self.progress.best
        assert best is not None, "a finished run has ended an epoch"
        record: dict[str, Any] = {
            "event": "test",
            "epoch": best["epoch"],
            "step": best["step"],
            "valid": best["valid"],
        }
        record["test"] = None
        self.learner.barrier()
        if "test" in self.corpus.splits:
            self.learner.init(open_model(self.run_dir.folder).weights)
            scores = self._score("test")
            record["test"] = scores.to_dict()
            self.reporter.line(f"\ntest split, with the model of epoch {best['epoch']}:\n{scores.table()}")
        self._record(record)
        if self.is_first:
            plot_curves(list(self.run_dir.records()), self.run_dir.curves)
        self.reporter.line(f"\nmodel: {self.run_dir.best}")
        return self._result(record, step)

    def _score(self, split: str) -> Scores:
        predicted = predict_tags(self.learner, self.encoded[split], self.config.pad_token_id, self.corpus.labels)
        return score(self.gold[split], predicted)

    def _model(self) -> SavedModel:
        best = self.progress.best or {}
        provenance = {
            "data": self.corpus.name,
            "preset": self.options.preset,
            "backend": self.backend,
            "seed": self.options.seed,
            "dtype": self.options.dtype,
            "device": self.learner.device,
            **versions(self.backend),
            **best,
        }
        return SavedModel(self.config, self.corpus.labels, self.tokenizer, self.learner.weights(), provenance)

    def _check_same_run(self, saved: dict[str, Any]) -> None:
        """A checkpoint goes on only with the model and labels it was made with."""
        where = self.run_dir.checkpoints
        if saved["model"] != dataclasses.asdict(self.config):
            raise InputError(f"{where}: made for model {saved['model']}, not {dataclasses.asdict(self.config)}")
        if saved["labels"] != list(self.corpus.labels):
            raise InputError(f"{where}: made for labels {saved['labels']}, the data has {list(self.corpus.labels)}")

    def _truncate_metrics(self) -> None:
        """Take back the lines written after the checkpoint: they will be written again."""
        if self.run_dir.metrics.exists():
            os.truncate(self.run_dir.metrics, self.progress.metrics_bytes)

    def _record(self, record: dict[str, Any]) -> None:
        if self.is_first:
            self.run_dir.append(record)

    def _final_record(self) -> dict[str, Any] | None:
        return next((record for record in self.run_dir.records() if record["event"] == "test"), None)

    def _result(self, record: dict[str, Any], step: int) -> TrainingResult:
        return TrainingResult(self.run_dir.folder, record["epoch"], step, record["valid"], record["test"])
