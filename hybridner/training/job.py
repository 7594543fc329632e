"""A training run that is ready to start."""

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
    """The parts of a run that :func:`hybridner.training.train.prepare` makes.

    Attributes:
        options: the run's options; a resumed run keeps its own, except those that may change.
        resumes: the folder contains a run, which is resumed.
        reporter: prints for the user, in the first process only.
        labels: those of the logits: the corpus's, or the same types in BIOES for a CRF.
        encoded: the sentences of each split as pieces.
        learner: the model and its optimizer; without weights until the loop initializes or restores it.
        plan: shapes of the training batches.
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
        """Return whether this process writes the run."""
        return self.learner.rank == 0
