"""A verification as a table and as a plot."""

import math
from collections.abc import Sequence
from pathlib import Path

from hybridner.errors import InputError
from hybridner.parity.bars import Finding

_FLOOR = 1e-18  # height at which to draw an error of zero


def table_header() -> str:
    """Format the names of the table's columns."""
    return f"{'check':<12} {'error':>8}  {'bar':>7}  pass  where"


def table_row(finding: Finding) -> str:
    """Format one line of the table: check, largest error, bar, passed or not, and the place of the error."""
    bar = "none" if finding.bar is None else "bitwise" if finding.bar == 0 else f"{finding.bar:.0e}"
    passed = "-" if finding.bar is None else "yes" if finding.passed else "NO"
    return f"{finding.check:<12} {_number(finding.error):>8}  {bar:>7}  {passed:<4}  {finding.where}"


def can_be_drawn(findings: Sequence[Finding]) -> bool:
    """Return True if there is anything to draw: models of different sizes have no activations to compare."""
    return bool(_drawn(findings))


def draw_errors(findings: Sequence[Finding], title: str, path: Path) -> None:
    """Draw the error of each part of the model and of each tensor's gradient, with their bars, as a PNG.

    :func:`can_be_drawn` must be True of ``findings``.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    drawn = _drawn(findings)
    figure = Figure(figsize=(10, 5), layout="constrained")
    figure.suptitle(title, fontsize=9)
    for axes, finding in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        errors = finding.errors
        heights = [max(error, _FLOOR) if math.isfinite(error) else math.nan for error in errors.values()]
        top = max([height for height in heights if math.isfinite(height)] + [finding.bar or _FLOOR])
        far = [number for number, height in enumerate(heights) if math.isnan(height)]
        axes.plot(heights, marker=".", linestyle="", label="error")
        if far:
            axes.plot(far, [10 * top] * len(far), marker="x", linestyle="", color="red", label="cannot be compared")
        if finding.bar:
            axes.axhline(finding.bar, color="gray", linestyle=":", label=f"bar {finding.bar:.0e}")
        axes.set(yscale="log", title=finding.check, ylabel="relative error")
        if len(errors) <= 20:
            axes.set_xticks(range(len(errors)), list(errors), rotation=45, ha="right")
        else:
            axes.set_xlabel("loss, then tensors in the order of the forward pass")
        axes.grid(alpha=0.3)
        axes.legend()
    try:
        figure.savefig(path, dpi=120, format="png", metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _drawn(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.check in ("activations", "gradients")]


def _number(error: float) -> str:
    return "0" if error == 0 else f"{error:.1e}" if math.isfinite(error) else "differs"
