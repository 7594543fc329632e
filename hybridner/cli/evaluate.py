"""``hybridner evaluate``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from hybridner.cli.parse import parse
from hybridner.cli.report import ReportOptions

if TYPE_CHECKING:
    from hybridner.evaluation.evaluate import Evaluation


@dataclass(frozen=True)
class EvaluateOptions(ReportOptions):
    """Score a model on labelled data: entities as conlleval counts them."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or OWNER/NAME on the Hugging Face Hub."""
    train: str | None = None
    """What entities count as seen: a labelled file, or a corpus, meaning its train split; by default that of --data."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""


def run(args: list[str]) -> int:
    """Score a model from the command line.

    Raises:
        InputError: the model or the data is not usable.
    """
    options = parse(EvaluateOptions, args, "hybridner evaluate")
    options.check()
    from hybridner.evaluation.evaluate import evaluate
    from hybridner.evaluation.evaluation_report import evaluation_page, evaluation_text
    from hybridner.tagging.tagger import load

    def make() -> "Evaluation":
        tagger = load(options.model, options.backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
        return evaluate(
            tagger, options.data, options.split, options.train, columns=options.columns(), misaligned=options.misaligned
        )

    options.report(make, evaluation_text, evaluation_page)
    return 0
