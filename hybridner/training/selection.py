"""The best model of a run: scored on the dev split, saved in the run's folder, and tested at the end."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hybridner.config.model import is_original
from hybridner.errors import InputError
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.scoring import Scores, score
from hybridner.files.tensors import Weights
from hybridner.model.twins import versions
from hybridner.runs.checkpoints import CheckpointStore
from hybridner.saved.card import told_options
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.tagging.decoding import argmax_tags, bio_tags, decode_many
from hybridner.tagging.inference import predict_parts
from hybridner.tagging.lattice import model_transitions
from hybridner.text.vocabulary import Vocabulary
from hybridner.training.job import TrainingJob
from hybridner.training.signals import StopSignals


class Selection:
    """The scores of a run's model, and its best model on disk."""

    def __init__(self, job: TrainingJob, signals: StopSignals) -> None:
        self._job, self._signals = job, signals

    def score(self, split: str) -> tuple[Scores, dict[str, Any]]:
        """Score the model's decoded tags on a split; also return the scores as plain values.

        The values have a confidence interval of F1, ``"decoded": True`` (an earlier version scored by argmax), and for
        a model of the original's the argmax scores.

        Raises:
            Interrupted: a signal came. One process leaves at once; several leave together, between two batches.
        """
        job, sentences = self._job, self._job.corpus.splits[split]
        gold = [sentence.tags or () for sentence in sentences]
        units = resampling_units(len(gold), [sentence.document for sentence in sentences])
        with self._signals.may_leave() if job.learner.world_size == 1 else nullcontext():
            decoded, argmax = self._predict(split)
            scores = score(gold, decoded)
            values = {**scores.to_dict(), "decoded": True}
            values["f1_interval"] = list(interval_of_counts(entity_counts(gold, decoded, units)))
            values["bootstrap"] = units.to_dict()
            if is_original(job.config):
                values["argmax"] = score(gold, argmax).to_dict()
        return scores, values

    def _predict(self, split: str) -> tuple[list[list[str]], list[list[str]]]:
        """Predict a split's most probable valid tag sequences, and for a model of the original's the argmax tags."""
        job, labels = self._job, self._job.labels
        transitions = model_transitions(labels, job.learner.weights() if job.config.head.kind == "crf" else {})

        def between() -> None:
            self._signals.leave_together(job.learner.agree)

        decoded: list[list[str]] = []
        argmax: list[list[str]] = []
        for logits in predict_parts(job.learner, job.encoded[split], job.config.input.pad_token_id, between):
            decoded += bio_tags(decode_many(logits, transitions), labels)
            if is_original(job.config):
                argmax += bio_tags([argmax_tags(one) for one in logits], labels)
        return decoded, argmax

    def keep(self, best: dict[str, Any], weights: Weights | None = None) -> None:
        """Save the best model, with its epoch, step and dev scores; its weights are by default the learner's."""
        job, options = self._job, self._job.options
        if not job.is_first:
            return
        provenance = {
            "data": job.corpus.name,
            "sentences": {name: report.sentences for name, report in job.corpus.reports.items()},
            **({"data_license": options.data.data_license} if options.data.data_license else {}),
            **self._vectors(),
            "preset": options.model.preset,
            "options": told_options(options),
            "backend": job.backend,
            "seed": options.optimization.seed,
            "dtype": options.devices.dtype,
            "device": job.learner.device,
            **versions(job.backend),
            **best,
        }
        weights = job.learner.weights() if weights is None else weights
        model = SavedModel(job.config, job.labels, job.tokenizer, weights, provenance)
        save_model(job.run.best, model, parents=False)  # do not recreate a run that was removed

    def _vectors(self) -> dict[str, Any]:
        """Describe the vectors of words, by the name of their file."""
        data, tokenizer = self._job.options.data, self._job.tokenizer
        if data.vectors is None or not isinstance(tokenizer, Vocabulary) or tokenizer.vectors is None:
            return {}
        about = {"file": Path(data.vectors).name, "words": len(tokenizer.vectors.index.hashes)}
        return {"vectors": {**about, "size": tokenizer.vectors.size, "license": data.vectors_license}}

    def repair(self, best: dict[str, Any], checkpoints: CheckpointStore) -> str:
        """Rebuild the best model from its checkpoint unless it is on disk; return a sentence for the user, or "".

        Another model is there if the run was killed after it had saved a better one and before the next checkpoint.
        """
        try:
            if open_model(self._job.run.folder).provenance.get("step") == best["step"]:
                return ""
            reason = f"{self._job.run.best}: not the model of step {best['step']:,}"
        except InputError as error:
            reason = str(error)
        try:
            state = checkpoints.restore(best["step"]).state
        except InputError as error:
            return f"{reason}, and it cannot be rebuilt ({error})"
        self.keep(best, state.weights if state.average is None else state.average)
        return f"{reason}; rebuilt from the checkpoint of step {best['step']:,}"

    def rescore(self, best: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Score the best model again if an earlier version scored it by argmax, and correct its card.

        The learner then has that model's weights. A model that cannot be opened keeps its score: :meth:`repair` has
        reported it.

        Returns:
            The epoch, step and dev scores of the best model, and a sentence for the user, or "".
        """
        if best["valid"].get("decoded"):
            return best, ""
        self._job.learner.barrier()  # the first process has repaired the model
        try:
            model = open_model(self._job.run.folder)
        except InputError:
            return best, ""
        self._job.learner.init(model.weights)
        scores, valid = self.score("valid")
        again = {**best, "valid": valid}
        model.provenance.pop("test", None)  # by argmax too; the end of the run scores it again
        self._add(model, again)
        return again, (
            f"the best model, of epoch {best['epoch']}, was scored by argmax (dev F1 {best['valid']['f1']:.4f}); with "
            f"the tags that predict returns, its dev F1 is {scores.f1:.4f}"
        )

    def test(self) -> tuple[Scores, dict[str, Any]]:
        """Open the best model, score it on the test split, and add the scores to its folder.

        Raises:
            Interrupted: as for :meth:`score`.
        """
        model = open_model(self._job.run.folder)
        self._job.learner.init(model.weights)
        scores, values = self.score("test")
        self._add(model, {"test": values})
        return scores, values

    def _add(self, model: SavedModel, facts: dict[str, Any]) -> None:
        """Add ``facts`` to the provenance of the best model's folder."""
        if self._job.is_first:
            provenance = {**model.provenance, **facts}
            save_model(self._job.run.best, dataclasses.replace(model, provenance=provenance), parents=False)
