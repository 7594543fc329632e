"""Learning curves of a run and scores of a model as pictures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3b7dd8", "#e08a1e", "#2f9e6e")  # told apart by everyone, on light and on dark ground
FIGURE_WIDTH = 5.4  # inches; letters can still be read where a telephone makes it 360 points wide


def bars(names: Sequence[str], series: Mapping[str, Sequence[float]], ink: str) -> "Figure":
    """Draw shares in [0, 1] as groups of bars on a transparent ground.

    Args:
        names: of the groups.
        series: for each bar of a group its name and its height in each group.
        ink: colour of lines and letters.
    """
    height = max(1.6, 0.9 + len(names) * (0.16 * len(series) + 0.14))
    figure = new_figure((FIGURE_WIDTH, height))
    axes = figure.subplots()
    thickness = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = [group + (number - (len(series) - 1) / 2) * thickness for group in range(len(names))]
        drawn = axes.barh(at, values, thickness * 0.92, label=name, color=COLOURS[number])
        axes.bar_label(drawn, [f"{value:.2f}" for value in values], padding=3, fontsize=8, color=ink)
    axes.set(xlim=(0, 1.08), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    in_ink(axes, ink)
    axes.yaxis.grid(False)  # would strike the numbers through
    figure.legend(loc="outside upper center", ncols=len(series), frameon=False, labelcolor=ink)
    return figure


def new_figure(size: tuple[float, float]) -> "Figure":
    """An empty figure of this size in inches, on a transparent ground."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=180, layout="constrained", facecolor="none")


def in_ink(axes: "Axes", ink: str) -> None:
    """Draw lines and letters of ``axes`` in one colour."""
    axes.set_facecolor("none")
    axes.tick_params(colors=ink, which="both")
    axes.grid(alpha=0.25, color=ink)
    axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink)
