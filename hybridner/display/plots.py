"""Bar charts, and the style that all figures share."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3b7dd8", "#e08a1e", "#2f9e6e")  # distinct for colour-blind readers, on light and dark backgrounds
FIGURE_WIDTH = 5.4  # inches; letters stay readable on a phone 360 points wide


def bars(names: Sequence[str], series: Mapping[str, Sequence[float]], ink: str) -> "Figure":
    """Draw one group of bars per name, with lines and letters in the colour ``ink``.

    Each of at most ``len(COLOURS)`` named series has a share in [0, 1] for each group.
    """
    figure = new_figure((FIGURE_WIDTH, max(1.6, 0.9 + len(names) * (0.16 * len(series) + 0.14))))
    axes = figure.subplots()
    thickness = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        at = [group + (number - (len(series) - 1) / 2) * thickness for group in range(len(names))]
        drawn = axes.barh(at, values, thickness * 0.92, label=name, color=COLOURS[number])
        axes.bar_label(drawn, fmt="%.2f", padding=3, fontsize=8, color=ink)
    axes.set(xlim=(0, 1.08), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    in_ink(axes, ink)
    axes.yaxis.grid(False)  # its lines would cross the numbers
    figure.legend(loc="outside upper center", ncols=len(series), frameon=False, labelcolor=ink)
    return figure


def new_figure(size: tuple[float, float]) -> "Figure":
    """Create an empty figure of ``size`` (width, height) in inches, on a transparent background."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=180, layout="constrained", facecolor="none")


def in_ink(axes: "Axes", ink: str) -> None:
    """Set the colour of the lines and letters of ``axes``."""
    axes.set(facecolor="none", axisbelow=True)
    axes.tick_params(colors=ink, which="both")
    axes.grid(alpha=0.25, color=ink)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
    for spine in axes.spines.values():
        spine.set_edgecolor(ink)
