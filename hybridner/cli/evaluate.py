"""``hybridner evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybridner.cli.report import ReportOptions
from hybridner.model.twins import Backend

if TYPE_CHECKING:
    from hybridner.evaluation.evaluate import Evaluation


def evaluate(
    model: str | Path, /, *, report: ReportOptions, train: str | Path | None = None, backend: Backend | None = None
) -> None:
    """Score a model on labelled data; entities are counted as conlleval counts them.

    Args:
        model: A run, a model folder, or OWNER/NAME on the Hugging Face Hub.
        report: The data and the files to write.
        train: A labelled file or a corpus, whose train split decides which entities count as seen; by default the
            train split of --data.
        backend: flax or torch; by default the one that is installed, Flax first.
    """
    report.check()
    from hybridner.evaluation.evaluate import evaluate as score
    from hybridner.evaluation.evaluation_report import evaluation_page, evaluation_text
    from hybridner.tagging.tagger import load

    def make() -> "Evaluation":
        tagger = load(model, backend, device=report.device, dtype=report.dtype)  # type: ignore[arg-type]
        return score(
            tagger,
            str(report.data),
            report.split,
            None if train is None else str(train),
            columns=report.columns(),
            misaligned=report.misaligned,
        )

    report.report(make, evaluation_text, evaluation_page)
