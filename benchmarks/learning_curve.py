"""A run's learning curve and the original HybridNER's: ``python -m benchmarks.learning_curve RUN PICTURE``.

The F1 is that of each word's most probable tag, as the original scores.
"""

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter, run

from hybridner.runs.run_dir import RunDir

# The log that its authors publish: mean training loss and dev F1 after each epoch, and the dev F1 of its README.
ORIGINAL_LOSS = (0.771, 0.605, 0.273, 0.164, 0.111, 0.079, 0.056, 0.043, 0.032, 0.028, 0.024, 0.019, 0.017)
ORIGINAL_F1 = (0, 0.428, 0.644, 0.703, 0.725, 0.737, 0.730, 0.735, 0.751, 0.746, 0.753, 0.756, 0.735)
ORIGINAL_PUBLISHED_F1 = 0.778492


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Draw a run's training loss and dev F1 by epoch, with the original's log."""

    run: Path
    """Folder with the run's metrics.jsonl."""
    picture: Path
    """The PNG to write."""


def main(options: Options) -> None:
    """Draw and write the picture."""
    from matplotlib.figure import Figure

    epochs = [record for record in RunDir(options.run).records() if record["event"] == "epoch"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    original = range(1, len(ORIGINAL_F1) + 1)
    here = [record["epoch"] for record in epochs]
    left.plot(original, ORIGINAL_LOSS, marker=".", color="gray", label="original, its log")
    left.plot(here, [record["train_loss"] for record in epochs], marker=".", label="this run")
    left.set(xlabel="epoch", ylabel="training loss (mean a word)", yscale="log")
    right.plot(original, ORIGINAL_F1, marker=".", color="gray", label="original, its log")
    by_argmax = [record["valid"].get("argmax", record["valid"])["f1"] for record in epochs]
    right.plot(here, by_argmax, marker=".", label="this run")
    right.axhline(
        ORIGINAL_PUBLISHED_F1, linestyle=":", color="gray", label=f"original, README: {ORIGINAL_PUBLISHED_F1:.4f}"
    )
    right.set(xlabel="epoch", ylabel="dev F1 of argmax tags (micro, conlleval)", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(options.picture, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
