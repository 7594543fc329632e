"""A training run that is ready to start: everything its parts share."""

from dataclasses import dataclass

from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import ShapePlan
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.corpora.corpus import Corpus
from hybridner.display.console import Reporter
from hybridner.model.learner import Learner
from hybridner.model.twins import Backend
from hybridner.runs.run_dir import RunDir
from hybridner.text.tokenizer import WordTokenizer
from hybridner.text.vocabulary import Vocabulary
from hybridner.training.workload import Workload


@dataclass(frozen=True)
class TrainingJob:
    """A training run that is ready to start, as :func:`hybridner.training.train.prepare` makes it.

    Attributes:
        backend: "flax" or "torch".
        options: the run's options; of a resumed run its own, with those of this call that may change.
        run: the run's folder.
        resumes: continue the run in the folder, as all processes have agreed.
        reporter: prints for the user; silent in all processes but the first.
        corpus: labels and sentences by split.
        labels: those of the logits: the corpus's, or the same types in BIOES for a CRF.
        encoded: the same sentences as pieces.
        tokenizer: cuts words into pieces, or numbers their features.
        config: the model.
        learner: the model in training; without weights until the loop initializes or restores it.
        plan: shapes of the training batches.
        work: steps, pieces and operations of the run.
    """

    backend: Backend
    options: Options
    run: RunDir
    resumes: bool
    reporter: Reporter
    corpus: Corpus
    labels: tuple[str, ...]
    encoded: dict[str, Encoded]
    tokenizer: WordTokenizer | Vocabulary
    config: ModelConfig
    learner: Learner
    plan: ShapePlan
    work: Workload

    @property
    def is_first(self) -> bool:
        """True in the process that writes the run."""
        return self.learner.rank == 0
