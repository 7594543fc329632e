"""Cost per piece as rows, batches and the model grow: ``python -m benchmarks.scaling --json FILE``.

The program measures one training step of both backends on a CPU, preset ``original`` with its dropout. It generates the
rows: random pieces without padding, in sentences of about 20. A step's FLOP are those of its matmuls, forward and
backward; attention's, which grow with the square of the row's length, are counted separately. A picture goes next to
the JSON.
"""

import math
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from cyclopts import Parameter

from benchmarks.floor import MATMUL, matmul_rate
from benchmarks.on_gpu import versions
from hybridner.batches.batch import Batch
from hybridner.batches.packing import Shape
from hybridner.cli.output import check_writable, write_json
from hybridner.cli.parse import call, guarded, new_app
from hybridner.config.model import ModelConfig, PiecesInput
from hybridner.config.presets import make_options
from hybridner.model.learner import Learner
from hybridner.model.parts import EMBEDDING
from hybridner.model.twins import BACKENDS, Backend, learner_class
from hybridner.model.weights import initial_weights, weight_shapes

FORWARD_AND_BACKWARD = 3  # each of a matmul's two gradients is a matmul of its size
_SENTENCE = 20
_NUM_LABELS = 9
_LEARNING_RATE = 3e-4
_SWEEPS = {"length": "length of the rows", "rows": "rows of the batch", "hidden_size": "width of the model"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure one training step of both backends at growing sizes."""

    lengths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Lengths of the rows, at about the same number of pieces."""
    rows: tuple[int, ...] = (5, 10, 20, 40, 80)
    """Rows of the batch."""
    hidden_sizes: tuple[int, ...] = (64, 128, 256, 512)
    """Widths of the model."""
    pieces: int = 1280
    """Pieces of a batch, unless its number of rows grows."""
    length: int = 64
    """Length of the rows, unless it grows."""
    num_encoder_layers: int = 6
    """Transformer layers."""
    vocab_size: int = 30522
    """Word pieces."""
    backends: tuple[Backend, ...] = BACKENDS
    """The backends to measure."""
    rounds: int = 5
    """Rounds that measure a matmul and each backend's step once, one after the other; the report gives medians."""
    json: Path | None = None
    """Also write the table to this file, and the picture next to it."""


class Point(NamedTuple):
    """A size to measure."""

    rows: int
    length: int
    hidden_size: int


def sweeps(options: Options) -> dict[str, list[Point]]:
    """Return the points of each sweep, by the name of the size that grows."""
    width = make_options("original").model.hidden_size
    rows = max(1, round(options.pieces / options.length))
    return {
        "length": [Point(max(1, round(options.pieces / n)), n, width) for n in options.lengths],
        "rows": [Point(n, options.length, width) for n in options.rows],
        "hidden_size": [Point(rows, options.length, n) for n in options.hidden_sizes],
    }


def full_rows(config: ModelConfig, shape: Shape) -> Batch:
    """Make a batch without padding: rows of sentences of about 20 random pieces, each with a label."""
    rng = np.random.default_rng(0)
    sizes = [len(part) for part in np.array_split(np.arange(shape.length), max(1, round(shape.length / _SENTENCE)))]
    starts = np.cumsum([0, *sizes[:-1]])
    mask = np.tile(np.repeat(np.arange(1, len(sizes) + 1, dtype=np.int32), sizes), (shape.rows, 1))
    return Batch(
        rng.integers(1, config.input.vocab_size, shape, dtype=np.int32),
        mask,
        rng.integers(0, config.num_labels, shape, dtype=np.int32),
        np.arange(shape.rows * len(sizes)),
        np.repeat(np.arange(shape.rows), len(sizes)),
        np.tile(starts, shape.rows),
        np.tile(sizes, shape.rows),
    )


def weight_flops(config: ModelConfig, shape: Shape) -> int:
    """Return the FLOP of a step's matmuls with weights."""
    shapes = weight_shapes(config).items()
    weights = sum(math.prod(size) for name, size in shapes if len(size) == 2 and name != EMBEDDING)
    return FORWARD_AND_BACKWARD * 2 * shape.rows * shape.length * weights


def attention_flops(config: ModelConfig, shape: Shape) -> int:
    """Return the FLOP of a step's matmuls of queries with keys and of probabilities with values, over whole rows."""
    products = 2 * config.encoder.num_layers
    return FORWARD_AND_BACKWARD * products * 2 * shape.rows * shape.length**2 * config.encoder.hidden_size


def step_seconds(learner: Learner, batch: Batch) -> float:
    """Return the seconds of one training step."""
    begun = time.perf_counter()
    float(learner.step(batch, _LEARNING_RATE).loss_sum)
    return time.perf_counter() - begun


def measure(point: Point, options: Options) -> list[dict[str, Any]]:
    """Measure each backend at one size; each round runs the matmul and the backends one after the other."""
    training = make_options(
        "original",
        device="cpu",
        parallel="jit",
        hidden_size=point.hidden_size,
        num_encoder_layers=options.num_encoder_layers,
    )
    config = training.model.config(PiecesInput(options.vocab_size), _NUM_LABELS)
    shape = Shape(point.rows, point.length)
    batch, weights = full_rows(config, shape), initial_weights(config, training.optimization.seed)
    learners = {backend: learner_class(backend)(config, training) for backend in options.backends}
    for learner in learners.values():
        learner.init(weights)
        step_seconds(learner, batch)
    rates: list[float] = []
    seconds: dict[Backend, list[float]] = {backend: [] for backend in learners}
    for _ in range(options.rounds):
        rates.append(matmul_rate())
        for backend, learner in learners.items():
            seconds[backend].append(step_seconds(learner, batch))
    flops = {"weights": weight_flops(config, shape), "attention": attention_flops(config, shape)}
    rate = statistics.median(rates)
    return [
        {
            **point._asdict(),
            "backend": backend,
            "ms_a_step": round(1e3 * statistics.median(times), 2),
            "all_rounds": [round(1e3 * time, 2) for time in times],
            "us_a_piece": round(1e6 * statistics.median(times) / batch.num_pieces, 2),
            "gflop_weights": flops["weights"] / 1e9,
            "gflop_attention": flops["attention"] / 1e9,
            "gflops": round(sum(flops.values()) / statistics.median(times) / 1e9, 1),
            "matmul_gflops": round(rate / 1e9, 1),
            "percent_of_matmul_rate": round(100 * sum(flops.values()) / statistics.median(times) / rate, 1),
        }
        for backend, times in seconds.items()
    ]


def draw(curves: dict[str, list[dict[str, Any]]], backends: Sequence[Backend], path: Path) -> None:
    """Draw the cost per piece above, the share of the matmul rate below, one column for each growing size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(_SWEEPS), sharex="col", sharey="row")
    for column, (grows, words) in enumerate(_SWEEPS.items()):
        above, below = axes[0][column], axes[1][column]
        for backend in backends:
            here = [row for row in curves[grows] if row["backend"] == backend]
            sizes = [row[grows] for row in here]
            above.plot(sizes, [row["us_a_piece"] for row in here], marker="o", label=backend)
            below.plot(sizes, [row["percent_of_matmul_rate"] for row in here], marker="o", label=backend)
        floor = {row[grows]: _floor(row) for row in curves[grows]}
        above.plot(list(floor), list(floor.values()), color="gray", linestyle=":", label="its matmuls alone")
        above.set_xscale("log", base=2)
        above.set_yscale("log")
        below.set(xlabel=words)
        below.set_ylim(bottom=0)
        below.set_xticks(list(floor), map(str, floor))
        for ax in (above, below):
            ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("µs per piece, one training step")
    axes[1][0].set_ylabel("% of the matmul rate")
    axes[0][0].legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _floor(row: dict[str, Any]) -> float:
    """Return the µs per piece of the matmuls alone at the rate measured in the same rounds."""
    flops = row["gflop_weights"] + row["gflop_attention"]
    return 1e6 * flops / row["matmul_gflops"] / (row["rows"] * row["length"])


def main(options: Options = Options()) -> None:
    """Measure, print the table, and write the JSON and the picture.

    Raises:
        InputError: a size does not fit, or the file cannot be written.
    """
    check_writable(options.json)
    measured: dict[Point, list[dict[str, Any]]] = {}
    curves: dict[str, list[dict[str, Any]]] = {}
    for grows, points in sweeps(options).items():
        print(
            f"{_SWEEPS[grows]}\n{'rows':>5} {'length':>6} {'width':>5}  model    ms/step    µs/piece  GFLOP/s  % matmul"
        )
        curves[grows] = []
        for point in points:
            if point not in measured:
                measured[point] = measure(point, options)
            curves[grows] += measured[point]
            for row in measured[point]:
                print(
                    f"{point.rows:5} {point.length:6} {point.hidden_size:5}  {row['backend']:5} "
                    f"{row['ms_a_step']:10.1f} {row['us_a_piece']:11.1f} {row['gflops']:8.1f} "
                    f"{row['percent_of_matmul_rate']:9.1f}",
                    flush=True,
                )
    if options.json is not None:
        report = {
            "what": "one training step, preset original, dropout on, float32, generated rows without padding, median",
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}",
            "versions": versions(),
            "matmul": list(MATMUL),
            "options": {name: getattr(options, name) for name in ("rounds", "num_encoder_layers", "vocab_size")},
            "by": curves,
        }
        write_json(options.json, report)
        draw(curves, options.backends, options.json.with_suffix(".png"))


if __name__ == "__main__":
    sys.exit(guarded(lambda: call(new_app("python -m benchmarks.scaling", default_command=main), sys.argv[1:])))
