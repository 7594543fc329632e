"""Measures how rounding grows over a training run: ``python -m benchmarks.parity_growth`` writes ``results/parity/``.

Both scripts train the same small model in float64 on the sample corpus, and the program compares the loss of each step.
For scale, it also compares PyTorch with itself after a change to the last bit of one initial weight. The other checks
run on a model of the original's size, in both types.
"""

import math
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from cyclopts import Parameter, run

import hybridner
from hybridner.cli.output import write_json
from hybridner.config import options as config_options
from hybridner.config.choices import Dtype
from hybridner.config.model import ModelConfig, original_model
from hybridner.files.tensors import Weights
from hybridner.model.learner import Probe
from hybridner.model.twins import BACKENDS, learner_class, versions
from hybridner.model.weights import initial_weights
from hybridner.parity.bars import BARS, Finding
from hybridner.parity.ladder import climb
from hybridner.parity.report import table_header, table_row
from hybridner.parity.runs import FIRST_STEPS, FinishedRun, compare_training, loss_errors, read_run

SMALL = {
    "hidden_size": 64,
    "num_heads": 4,
    "num_encoder_layers": 2,
    "vocab_size": 2000,
    "max_length": 128,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "epochs": 1000,
    "seed": 12,
    "log_every": 1,
    "dtype": "float64",
}
ORIGINAL = original_model(vocab_size=30522, num_labels=9)
OPTIMIZER_STEPS = 200
SHOWN = (1, 10, 50, 100, 200, FIRST_STEPS, 1000, 1500)
PASSED = {True: ", passed", False: ", FAILED"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure how far both frameworks' training runs drift apart by rounding."""

    steps: int = 1500
    """Steps of each run."""
    output: Path = Path("results/parity")
    """Folder for the table, the picture and the numbers."""


@dataclass(frozen=True)
class Comparison:
    """Two complete runs; ``first`` is the training check's finding after the first steps."""

    name: str
    a: FinishedRun
    b: FinishedRun
    first: Finding | None

    @cached_property
    def errors(self) -> dict[int, float]:
        """Return the relative difference of the loss at each step."""
        return loss_errors(self.a, self.b)

    def largest(self, step: int) -> float:
        """Return the largest relative difference of the loss up to a step."""
        return max(error for at, error in self.errors.items() if at <= step)

    @property
    def same_tags(self) -> float:
        """Return the share of the dev split's words that both tag the same at the end."""
        return float(np.mean(self.a.dev_tags == self.b.dev_tags))


def train_by_script(backend: str, steps: int, dropout: float, output: Path) -> tuple[FinishedRun, FinishedRun]:
    """Train by the backend's script; return the run after the first steps, and resumed to its end."""
    options = {**SMALL, "data": "sample", "dropout": dropout}
    args = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    script = [sys.executable, f"train_{backend}.py", "--output", str(output), "--max-steps"]
    subprocess.run([*script, str(min(FIRST_STEPS, steps)), *args], check=True, stdout=subprocess.DEVNULL)
    first = read_run(output)
    if steps > FIRST_STEPS:
        subprocess.run([*script, str(steps), "--resume"], check=True, stdout=subprocess.DEVNULL)
    return first, read_run(output)


def train_with_another_bit(steps: int, output: Path) -> Path:
    """Train in PyTorch without dropout, with one float64 weight starting at the next larger number."""

    def nudged(config: ModelConfig, seed: int) -> Weights:
        weights = {name: value.astype(np.float64) for name, value in initial_weights(config, seed).items()}
        first = weights["classifier.weight"]
        first[0, 0] = np.nextafter(first[0, 0], np.inf)
        return weights

    with mock.patch("hybridner.training.loop.initial_weights", nudged):
        hybridner.train("torch", data="sample", max_steps=steps, dropout=0.0, output=output, **SMALL)
    return output


def ladder(dtype: Dtype) -> list[Finding]:
    """Run the checks up to the optimizer on a model of the original's size, with dropout and many AdamW steps."""
    weights = initial_weights(ORIGINAL, 12)

    def make(config: ModelConfig, options: config_options.Options) -> tuple[Probe, Probe]:
        a, b = (learner_class(backend)(config, options.replace(device="cpu")) for backend in BACKENDS)
        a.init(weights)
        b.init(weights)
        return a, b

    return list(climb(make, ORIGINAL, dtype, learning_rates=[3e-4] * OPTIMIZER_STEPS, clip_norm=1.0))


def draw(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw the relative difference of the loss by step, one curve per comparison."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for comparison in comparisons:
        # A logarithmic axis cannot show losses that are equal to the last bit.
        heights = [error or math.nan for error in comparison.errors.values()]
        axes.plot(list(comparison.errors), heights, linewidth=0.8, label=comparison.name)
    bar = BARS["float64"].training or math.nan
    axes.plot([1, FIRST_STEPS], [bar, bar], color="gray", linestyle=":", label=f"bar of the first {FIRST_STEPS} steps")
    axes.set(xlabel="step", ylabel="relative difference of the training loss, float64", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def table(comparisons: Sequence[Comparison], steps: int) -> str:
    """Return the largest difference up to some steps, and the share of equal dev tags at the end, as Markdown."""
    lines = [f"| up to step | {' | '.join(c.name for c in comparisons)} |", "|---" * (len(comparisons) + 1) + "|"]
    for step in [*(step for step in SHOWN if step < steps), steps]:
        lines.append(f"| {step} | {' | '.join(f'{c.largest(step):.1e}' for c in comparisons)} |")
    lines.append(f"| dev tags the same at the end | {' | '.join(f'{c.same_tags:.2%}' for c in comparisons)} |")
    return "\n".join(lines)


def page(report: dict[str, Any], comparisons: Sequence[Comparison], rungs: Mapping[Dtype, list[Finding]]) -> str:
    """Return the report as Markdown."""
    made_with = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        "# Parity measurements",
        "",
        f"Written by `python -m benchmarks.parity_growth` on {report['where']}, with {made_with}.",
        "`docs/parity.md` explains the numbers.",
        "",
        "## A training run",
        "",
        "`train_flax.py` and `train_torch.py` on the sample corpus in float64: "
        f"{SMALL['num_encoder_layers']} layers of width {SMALL['hidden_size']}, batches of {SMALL['batch_size']}",
        f"sentences, AdamW at {SMALL['learning_rate']}. The largest relative difference of the training loss:",
        "",
        table(comparisons, report["steps"]),
        "",
        f"The training check compares the runs after {FIRST_STEPS} steps: losses and dev logits, and bit for bit the",
        "tokenizers, dev scores and dev tags.",
        "",
        *(f"- {c.name}: {c.first.error:.1e}, {c.first.where}" + PASSED[c.first.passed] for c in comparisons if c.first),
        "",
        "![difference by step](growth.png)",
        "",
        "## The checks",
        "",
        f"A model of the original's size ({ORIGINAL.encoder.num_layers} layers of width "
        f"{ORIGINAL.encoder.hidden_size}, dropout {ORIGINAL.dropout}) on random batches, "
        f"AdamW with clipping over {OPTIMIZER_STEPS} steps.",
    ]
    for dtype, climbed in rungs.items():
        lines += ["", dtype, "", "```", table_header(), *map(table_row, climbed), "```"]
    if not all(finding.passed for finding in rungs["float32"]):
        lines += ["", "`docs/parity.md`, ReLU, explains what can push a float32 gradient beyond its bar."]
    return "\n".join(lines) + "\n"


def compare_runs(steps: int, folder: Path) -> list[Comparison]:
    """Train all runs in ``folder`` and compare them."""
    comparisons = []
    for dropout in (0.0, 0.1):
        flax, torch = (train_by_script(name, steps, dropout, folder / f"{name}-{dropout}") for name in BACKENDS)
        first = compare_training(flax[0], torch[0], BARS["float64"])
        comparisons.append(Comparison(f"Flax against PyTorch, dropout {dropout}", flax[1], torch[1], first))
        if dropout == 0:
            nudged = read_run(train_with_another_bit(steps, folder / "nudged"))
            name = "PyTorch against itself, one last bit of one weight changed"
            alone = Comparison(name, nudged, torch[1], None)
    return [*comparisons, alone]


def main(options: Options = Options()) -> None:
    """Train, compare, and write ``growth.png``, ``growth.json`` and ``README.md``."""
    with tempfile.TemporaryDirectory() as folder:
        comparisons = compare_runs(options.steps, Path(folder))
    rungs = {dtype: ladder(dtype) for dtype in BARS}
    report: dict[str, Any] = {
        "what": "relative difference of the training loss by step, float64, sample corpus",
        "options": SMALL,
        "steps": options.steps,
        "where": f"{platform.machine()} CPU, Python {platform.python_version()}",
        "versions": {name: version for backend in BACKENDS for name, version in versions(backend).items()},
        "comparisons": [
            {
                "name": c.name,
                "largest_up_to_step": {step: c.largest(step) for step in SHOWN if step <= options.steps},
                "same_dev_tags_at_the_end": c.same_tags,
                "valid_f1_at_the_end": [run.dev_scores[-1][1]["f1"] for run in (c.a, c.b)],
                "first_steps": c.first and {"error": c.first.error, "where": c.first.where, "passed": c.first.passed},
            }
            for c in comparisons
        ],
        "ladder": {dtype: [[f.check, f.error, f.where, f.bar] for f in climbed] for dtype, climbed in rungs.items()},
    }
    options.output.mkdir(parents=True, exist_ok=True)
    draw(comparisons, options.output / "growth.png")
    write_json(options.output / "growth.json", report)
    text = page(report, comparisons, rungs)
    (options.output / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run(main)
