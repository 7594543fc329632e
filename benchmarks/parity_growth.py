"""How rounding grows over a training run: ``python -m benchmarks.parity_growth`` writes ``results/parity/``.

Both scripts train the same small model in float64 on the sample corpus, and the loss of each step is compared. Beside
them stands what rounding does to one twin alone: the PyTorch twin against itself with the last bit of one initial
weight changed. The ladder's other rungs are climbed for a model of the original's size, in both types.
"""

import dataclasses
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tyro

import hybridner
from hybridner.config import ModelConfig, TrainingConfig
from hybridner.learner import Learner
from hybridner.parity.bars import BARS, Finding
from hybridner.parity.ladder import climb
from hybridner.parity.report import table_header, table_row
from hybridner.parity.runs import FIRST_STEPS, compare_training, loss_errors, read_run
from hybridner.twins import BACKENDS, learner_class, versions
from hybridner.weights import Weights, initial_weights

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
ORIGINAL = ModelConfig(vocab_size=30522, num_labels=9)
OPTIMIZER_STEPS = 200
SHOWN = (1, 10, 50, 100, 200, FIRST_STEPS, 1000, 1500)
Curve = Mapping[int, float]


@dataclass(frozen=True)
class Options:
    """Measure how far the twins' training runs drift apart by rounding."""

    steps: int = 1500
    """Steps of each run."""
    output: Path = Path("results/parity")
    """Folder for the table, the picture and the numbers."""


def train_by_script(backend: str, steps: int, dropout: float, output: Path) -> Path:
    """A run by the twin's own script, in a process of its own."""
    options = {**SMALL, "data": "sample", "max_steps": steps, "dropout": dropout, "output": output}
    args = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    subprocess.run([sys.executable, f"train_{backend}.py", *args], check=True, stdout=subprocess.DEVNULL)
    return output


def train_with_another_bit(steps: int, output: Path) -> Path:
    """The PyTorch run without dropout, one float64 weight of which starts at the next larger number."""

    def nudged(config: ModelConfig, seed: int) -> Weights:
        weights = {name: value.astype(np.float64) for name, value in initial_weights(config, seed).items()}
        first = weights["classifier.weight"]
        first[0, 0] = np.nextafter(first[0, 0], np.inf)
        return weights

    with mock.patch("hybridner.loop.initial_weights", nudged):
        hybridner.train("torch", data="sample", max_steps=steps, dropout=0.0, output=output, **SMALL)
    return output


def ladder(dtype: Any) -> list[Finding]:
    """The rungs up to the optimizer for a model of the original's size, with dropout, and many AdamW steps."""
    weights = initial_weights(ORIGINAL, 12)

    def make(config: ModelConfig, options: TrainingConfig) -> tuple[Learner, Learner]:
        a, b = (learner_class(backend)(config, dataclasses.replace(options, device="cpu")) for backend in BACKENDS)
        a.init(weights)
        b.init(weights)
        return a, b

    return list(climb(make, ORIGINAL, dtype, learning_rates=[3e-4] * OPTIMIZER_STEPS, clip_norm=1.0))


def draw(curves: Mapping[str, Curve], path: Path) -> None:
    """The relative difference of the loss by step, one curve a comparison."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, curve in curves.items():
        # Losses that are equal to the last bit have no place on a logarithmic axis.
        axes.plot(list(curve), [error or np.nan for error in curve.values()], linewidth=0.8, label=name)
    bar = BARS["float64"].training
    axes.plot([1, FIRST_STEPS], [bar, bar], color="gray", linestyle=":", label=f"bar of the first {FIRST_STEPS} steps")
    axes.set(xlabel="step", ylabel="relative difference of the training loss, float64", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def table(curves: Mapping[str, Curve]) -> str:
    """The largest difference up to some steps, as Markdown."""
    names = list(curves)
    lines = [f"| up to step | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    last = max(curves[names[0]])
    for step in [step for step in SHOWN if step < last] + [last]:
        largest = [max(error for at, error in curve.items() if at <= step) for curve in curves.values()]
        lines.append(f"| {step} | {' | '.join(f'{error:.1e}' for error in largest)} |")
    return "\n".join(lines)


def main(options: Options) -> None:
    """Train, compare, and write ``growth.png``, ``growth.json`` and ``README.md``."""
    curves: dict[str, Curve] = {}
    found: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Any] = {}
        for dropout in (0.0, 0.1):
            for backend in BACKENDS:
                name = f"{backend}-{dropout}"
                runs[name] = read_run(train_by_script(backend, options.steps, dropout, Path(folder) / name))
            flax, torch = (runs[f"{backend}-{dropout}"] for backend in BACKENDS)
            name = f"Flax against PyTorch, dropout {dropout}"
            curves[name], found[name] = loss_errors(flax, torch), compare_training(flax, torch, BARS["float64"])
        nudged = read_run(train_with_another_bit(options.steps, Path(folder) / "nudged"))
        curves["PyTorch against itself, one last bit of one weight changed"] = loss_errors(nudged, runs["torch-0.0"])
    rungs = {dtype: ladder(dtype) for dtype in BARS}

    options.output.mkdir(parents=True, exist_ok=True)
    draw(curves, options.output / "growth.png")
    said = {name: f"{f.error:.1e} at the {f.where}, {'held' if f.held else 'NOT held'}" for name, f in found.items()}
    where = f"{platform.machine()} CPU, Python {platform.python_version()}"
    made_with = {name: version for backend in BACKENDS for name, version in versions(backend).items()}
    report = {
        "what": "relative difference of the training loss by step, float64, sample corpus",
        "options": SMALL,
        "steps": options.steps,
        "where": where,
        "versions": made_with,
        "first_steps": {name: {"error": f.error, "where": f.where, "held": f.held} for name, f in found.items()},
        "valid_f1_at_the_end": {name: run.dev_scores[-1][1]["f1"] for name, run in runs.items()},
        "largest_up_to_step": {
            name: {step: max(e for at, e in curve.items() if at <= step) for step in SHOWN if step <= options.steps}
            for name, curve in curves.items()
        },
        "ladder": {dtype: [[f.rung, f.error, f.where, f.bar] for f in climbed] for dtype, climbed in rungs.items()},
    }
    (options.output / "growth.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    size = f"{SMALL['num_encoder_layers']} layers of width {SMALL['hidden_size']}"
    page = f"""# The twins, measured

Written by `python -m benchmarks.parity_growth` on a {where},
with {", ".join(f"{name} {version}" for name, version in made_with.items())}. What the numbers mean: `docs/parity.md`.

## A training run

`train_flax.py` and `train_torch.py` on the sample corpus: {size}, AdamW at {SMALL["learning_rate"]}, batches of
{SMALL["batch_size"]} sentences, float64, {options.steps} steps. The largest relative difference of the training loss:

{table(curves)}

Over the first {FIRST_STEPS} steps, with tokenizer, dev scores and dev tags at the end compared too:
{"; ".join(f"{name}: {text}" for name, text in said.items())}.

![difference by step](growth.png)

## The ladder

A model of the original's size ({ORIGINAL.num_encoder_layers} layers of width {ORIGINAL.hidden_size}, dropout
{ORIGINAL.dropout}) on random batches, AdamW with clipping over {OPTIMIZER_STEPS} steps.
"""
    for dtype, climbed in rungs.items():
        page += f"\n{dtype}\n\n```\n" + "\n".join([table_header(), *map(table_row, climbed)]) + "\n```\n"
    (options.output / "README.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main(tyro.cli(Options))
