"""What the splits that are not trained on are for: scores as training goes, the best model so far, and its test."""

import dataclasses
from contextlib import nullcontext
from typing import Any

from hybridner.batches.encoding import Encoded
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.corpora.corpus import Corpus
from hybridner.errors import InputError
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.scoring import Scores, score
from hybridner.files.tensors import Weights
from hybridner.model.learner import Learner
from hybridner.model.twins import Backend, versions
from hybridner.runs.checkpoints import CheckpointStore
from hybridner.runs.run_dir import RunDir
from hybridner.saved.card import told_options
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.tagging.inference import predict_tags
from hybridner.text.tokenizer import WordTokenizer
from hybridner.training.signals import StopSignals


class Selection:
    """Scores the model in training, keeps the best one in the run's folder, and tests that one in the end."""

    def __init__(
        self,
        backend: Backend,
        options: Options,
        run: RunDir,
        corpus: Corpus,
        encoded: dict[str, Encoded],
        tokenizer: WordTokenizer,
        config: ModelConfig,
        learner: Learner,
        signals: StopSignals,
    ) -> None:
        self._backend, self._options, self._run = backend, options, run
        self._corpus, self._encoded, self._tokenizer = corpus, encoded, tokenizer
        self._config, self._learner, self._signals = config, learner, signals
        self._gold = {
            name: [sentence.tags or () for sentence in split]
            for name, split in corpus.splits.items()
            if name != "train"
        }
        self._units = {
            name: resampling_units(len(gold), [sentence.document for sentence in corpus.splits[name]])
            for name, gold in self._gold.items()
        }

    def score(self, split: str) -> tuple[Scores, dict[str, Any]]:
        """Score a split; the scores, and as plain values with how far F1 may lie off.

        Raises:
            Interrupted: a signal came. One process leaves at once; several leave together, between two batches.
        """
        alone = self._learner.world_size == 1
        with self._signals.may_leave() if alone else nullcontext():
            predicted = predict_tags(
                self._learner,
                self._encoded[split],
                self._config.input.pad_token_id,
                self._corpus.labels,
                between=(lambda: None) if alone else (lambda: self._signals.leave_together(self._learner.agree)),
            )
            gold, units = self._gold[split], self._units[split]
            scores = score(gold, predicted)
            interval = interval_of_counts(entity_counts(gold, predicted, units))
        return scores, {**scores.to_dict(), "f1_interval": list(interval), "bootstrap": units.to_dict()}

    def keep(self, best: dict[str, Any], weights: Weights | None = None) -> None:
        """Save the model as it is, or with ``weights``: ``best`` are its epoch, step and dev scores."""
        if self._learner.rank == 0:
            about = self._config, self._corpus.labels, self._tokenizer
            weights = self._learner.weights() if weights is None else weights
            model = SavedModel(*about, weights, {**self._provenance(), **best})
            save_model(self._run.best, model, parents=False)  # a run that was removed is not made anew

    def mend(self, best: dict[str, Any], checkpoints: CheckpointStore) -> str:
        """See that the best model on disk is that of ``best``; if it is not, make it anew from its checkpoint.

        It is another one where a run was killed after it had found a better model, and before it had saved a
        checkpoint.

        Returns:
            A sentence for the user where there is something to know.
        """
        try:
            if open_model(self._run.folder).provenance.get("step") == best["step"]:
                return ""
            reason = f"{self._run.best}: not yet the model of step {best['step']:,}"
        except InputError as error:
            reason = str(error)
        try:
            state = checkpoints.restore(best["step"]).state
        except InputError as error:
            return f"{reason}, and it cannot be made anew ({error})"
        self.keep(best, state.weights if state.average is None else state.average)
        return f"{reason}; made anew from the checkpoint of step {best['step']:,}"

    def test(self) -> tuple[Scores, dict[str, Any]]:
        """Load the best model from its folder again, score it on the test split, and write the scores into its folder.

        Raises:
            Interrupted: as for :meth:`score`.
        """
        model = open_model(self._run.folder)
        self._learner.init(model.weights)
        scores, values = self.score("test")
        if self._learner.rank == 0:
            provenance = {**model.provenance, "test": values}
            save_model(self._run.best, dataclasses.replace(model, provenance=provenance), parents=False)
        return scores, values

    def _provenance(self) -> dict[str, Any]:
        options = self._options
        return {
            "data": self._corpus.name,
            "sentences": {name: report.sentences for name, report in self._corpus.reports.items()},
            **({"data_license": options.data.data_license} if options.data.data_license else {}),
            "preset": options.model.preset,
            "options": told_options(options),
            "backend": self._backend,
            "seed": options.optimization.seed,
            "dtype": options.devices.dtype,
            "device": self._learner.device,
            **versions(self._backend),
        }
