"""``hybridner compare``."""

from pathlib import Path

from hybridner.cli.report import ReportOptions
from hybridner.model.twins import Backend


def compare(
    a: str | Path,
    b: str | Path,
    /,
    *,
    report: ReportOptions,
    backend_a: Backend | None = None,
    backend_b: Backend | None = None,
) -> None:
    """Compare the scores of two models on the same labelled data, and test whether they differ.

    The interval is a paired bootstrap's. To compare one model in both backends, give it twice.

    Args:
        a: A run, a model folder, or OWNER/NAME on the Hugging Face Hub.
        b: Another model, or the same.
        report: The data and the files to write.
        backend_a: Backend of A: flax or torch; by default the one that is installed, Flax first.
        backend_b: Backend of B.
    """
    from hybridner.evaluation.compare import compare as compare_models
    from hybridner.evaluation.comparison_report import comparison_page, comparison_text

    report.make(compare_models, [(a, backend_a), (b, backend_b)], comparison_text, comparison_page)
