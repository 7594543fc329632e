"""Learning curves of a run and scores of a model as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridner.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#3b7dd8", "#e08a1e", "#2f9e6e")  # told apart by everyone, on light and on dark ground
_WIDTH = 5.4  # inches; letters can still be read where a telephone makes it 360 points wide


def plot_curves(records: list[dict[str, Any]], path: Path) -> None:
    """Draw training loss and dev F1 by epoch.

    Args:
        records: lines of a run's ``metrics.jsonl``.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure

    epochs = [record for record in records if record["event"] == "epoch"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    at = [record["epoch"] for record in epochs]
    left.plot(at, [record["train_loss"] for record in epochs], marker=".")
    left.set(xlabel="epoch", ylabel="training loss (mean a word)", yscale="log")
    right.plot(at, [record["valid"]["f1"] for record in epochs], marker=".", label="valid")
    right.set(xlabel="epoch", ylabel="F1 (micro, conlleval)", ylim=(0, 1))
    for record in records:
        if record["event"] == "test" and record["test"] is not None:
            right.axhline(
                record["test"]["f1"],
                linestyle=":",
                color="gray",
                label=f"test, model of epoch {record['epoch']}",
            )
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


def bars(names: Sequence[str], series: Mapping[str, Sequence[float]], ink: str) -> "Figure":
    """Draw shares in [0, 1] as groups of bars on a transparent ground.

    Args:
        names: of the groups.
        series: for each bar of a group its name and its height in each group.
        ink: colour of lines and letters.
    """
    height = max(1.6, 0.9 + len(names) * (0.16 * len(series) + 0.14))
    figure = _figure((_WIDTH, height))
    axes = figure.subplots()
    thickness = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = [group + (number - (len(series) - 1) / 2) * thickness for group in range(len(names))]
        drawn = axes.barh(at, values, thickness * 0.92, label=name, color=_COLOURS[number])
        axes.bar_label(drawn, [f"{value:.2f}" for value in values], padding=3, fontsize=8, color=ink)
    axes.set(xlim=(0, 1.08), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    _in_ink(axes, ink)
    axes.yaxis.grid(False)  # would strike the numbers through
    figure.legend(loc="outside upper center", ncols=len(series), frameon=False, labelcolor=ink)
    return figure


def reliability_diagram(calibration: Calibration, ink: str) -> "Figure":
    """Draw the share of right entities by score, and how many entities there are of each, on a transparent ground.

    Args:
        calibration: of the scores.
        ink: colour of lines and letters.
    """
    figure = _figure((_WIDTH, 4.0))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [b for b in calibration.bins if b.count]
    width = 0.92 / len(calibration.bins)
    middles = [(b.low + b.high) / 2 for b in filled]
    right = [b.right or 0.0 for b in filled]
    upper.bar(middles, right, width, color=_COLOURS[0], label="right")
    upper.plot([b.mean_score or 0.0 for b in filled], right, "o", color=_COLOURS[1], label="mean score")
    upper.plot([0, 1], [0, 1], linestyle=":", color=ink, label="as the score says")
    upper.set(ylabel="share of right entities", ylim=(0, 1), xlim=(0, 1))
    lower.bar(middles, [b.count for b in filled], width, color=_COLOURS[0])
    lower.set(xlabel="score", ylabel="entities", yscale="log")
    for axes in (upper, lower):
        _in_ink(axes, ink)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, labelcolor=ink)
    return figure


def _figure(size: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=180, layout="constrained", facecolor="none")


def _in_ink(axes: "Axes", ink: str) -> None:
    axes.set_facecolor("none")
    axes.tick_params(colors=ink, which="both")
    axes.grid(alpha=0.25, color=ink)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink)
