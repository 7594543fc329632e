"""Learning curves of a run as an image."""

from pathlib import Path
from typing import Any


def plot_curves(records: list[dict[str, Any]], path: Path) -> None:
    """Draw training loss and dev F1 by epoch from ``records``, lines of ``metrics.jsonl``, into a PNG at ``path``."""
    from matplotlib.figure import Figure

    epochs = [record for record in records if record["event"] == "epoch"]
    numbers = [record["epoch"] for record in epochs]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(numbers, [record["train_loss"] for record in epochs], marker=".")
    left.set(xlabel="epoch", ylabel="training loss per word", yscale="log")
    right.plot(numbers, [record["valid"]["f1"] for record in epochs], marker=".", label="dev")
    right.set(xlabel="epoch", ylabel="F1 (micro, conlleval)", ylim=(0, 1))
    for record in records:
        if record["event"] == "test" and record["test"] is not None:
            label = f"test, model of epoch {record['epoch']}"
            right.axhline(record["test"]["f1"], linestyle=":", color="gray", label=label)
    right.legend(loc="lower right")
    left.grid(alpha=0.3)
    right.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
