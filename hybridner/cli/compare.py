"""``hybridner compare``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from hybridner.cli.parse import parse
from hybridner.cli.report import ReportOptions

if TYPE_CHECKING:
    from hybridner.evaluation.compare import Comparison


@dataclass(frozen=True)
class CompareOptions(ReportOptions):
    """Say how far the scores of two models differ on the same labelled data, how sure that is, and at which entities.

    The interval is a paired bootstrap's. The same model can be compared in both twins: give it twice.
    """

    a: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or OWNER/NAME on the Hugging Face Hub."""
    b: Annotated[str, tyro.conf.Positional]
    """Another one, or the same."""
    backend_a: str | None = None
    """What computes A: flax or torch; by default the one that is installed, Flax first."""
    backend_b: str | None = None
    """What computes B."""


def run(args: list[str]) -> int:
    """Compare two models from the command line.

    Raises:
        InputError: a model or the data is not usable.
    """
    options = parse(CompareOptions, args, "hybridner compare")
    options.check()
    from hybridner.evaluation.compare import compare
    from hybridner.evaluation.comparison_report import comparison_page, comparison_text
    from hybridner.tagging.tagger import load

    def make() -> "Comparison":
        a, b = (
            load(model, backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
            for model, backend in ((options.a, options.backend_a), (options.b, options.backend_b))
        )
        return compare(a, b, options.data, options.split, columns=options.columns(), misaligned=options.misaligned)

    options.report(make, comparison_text, comparison_page)
    return 0
