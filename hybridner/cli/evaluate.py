"""``hybridner evaluate``."""

from pathlib import Path

from hybridner.cli.report import ReportOptions
from hybridner.model.twins import Backend


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
    from hybridner.evaluation.evaluate import evaluate as score
    from hybridner.evaluation.evaluation_report import evaluation_page, evaluation_text

    report.make(score, [(model, backend)], evaluation_text, evaluation_page, train=train)
