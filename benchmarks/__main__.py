"""Training and evaluation speed of both backends and two baselines, in one run: ``python -m benchmarks --data DIR``."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cyclopts import Parameter, run

from benchmarks.contenders import Data
from benchmarks.floor import flops_per_piece, matmul_rate
from hybridner.cli.output import write_json


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure real pieces per second in training, and words per second in evaluation, with the preset ``original``."""

    data: str = "sample"
    """A corpus as for training."""
    tokenizer: str = "train"
    """A tokenizer as for training."""
    rounds: int = 5
    """Rounds that measure each contender once, one after the other; the report gives medians over the rounds."""
    steps: int = 8
    """Batches of 64 sentences that each contender trains on in each round."""
    json: Path | None = None
    """Also write the table to this file."""


class Process:
    """A contender in a separate process; see ``benchmarks.serve``."""

    def __init__(self, name: str, options: Options, cache: str | None = None) -> None:
        corpus = {"data": options.data, "tokenizer": options.tokenizer, "steps": options.steps}
        job = json.dumps({"name": name, "cache": cache, **corpus})
        command = [sys.executable, "-m", "benchmarks.serve", job]
        self._name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self.size: dict[str, int] = self._answer()

    def ask(self, command: str) -> tuple[float, Any]:
        """Run a method of the contender and return its seconds and its result."""
        print(command, file=self._commands, flush=True)
        seconds, result = self._answer()
        return seconds, result

    def stop(self) -> None:
        """End the process."""
        self._commands.close()
        self._process.wait()
        self._answers.close()

    def _answer(self) -> Any:
        line = self._answers.readline()
        if not line:
            raise SystemExit(f"the process of {self._name} ended with exit code {self._process.wait()}")
        return json.loads(line)


def main(options: Options = Options()) -> None:
    """Measure, print the table and write the JSON."""
    data = Data(options.data, options.tokenizer, options.steps)
    flops = flops_per_piece(data.config)
    with tempfile.TemporaryDirectory() as cache:
        first = Process("flax", options, cache)
        cold = first.ask("warm_up")[1]
        first.stop()
        flax = Process("flax", options, cache)
        cached = flax.ask("warm_up")[1]
    contenders = {"loop": Process("loop", options), "torch": Process("torch", options)}
    contenders |= {"stock": Process("stock", options), "flax": flax}
    compiling = {name: contenders[name].ask("warm_up")[1] for name in ("loop", "torch", "stock")}
    size = flax.size

    train: dict[str, list[float]] = {name: [] for name in contenders}
    evaluate: dict[str, list[float]] = {name: [] for name in contenders if name != "stock"}
    shares: dict[str, list[float]] = {"torch": [], "flax": []}
    matmul = []
    for number in range(options.rounds):
        matmul.append(matmul_rate())
        # Alternate the direction, so no contender always follows the same one.
        for name, process in list(contenders.items())[:: -1 if number % 2 else 1]:
            seconds, _ = process.ask("train")
            train[name].append(size["pieces"] / seconds)
            if name in shares:
                shares[name].append(process.ask("steps_alone")[0] / seconds)
            if name in evaluate:
                evaluate[name].append(size["words"] / process.ask("evaluate")[0])
    real = flax.ask("real_share")[1]
    shapes = flax.ask("shapes")[1]
    for process in contenders.values():
        process.stop()

    peak = statistics.median(matmul)
    report = {
        "what": "preset original, dropout on, float32; median rates: real pieces/s of training, words/s of evaluating",
        "data": data.corpus.name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("jax", "flax", "torch", "numpy")},
        "options": {"rounds": options.rounds, "steps": options.steps},
        "matmul_gflops": round(peak / 1e9, 1),
        "mflop_per_piece": round(flops / 1e6, 2),
        "floor_pieces_per_second": round(peak / flops, 1),
        "shapes": [list(shape) for shape in shapes],
        "real_positions": round(real, 4),
        "compile_seconds": {"flax": cold, "flax_with_cache": cached, **compiling},
        "cached_share": round(sum(cached.values()) / sum(cold.values()), 3),
        "step_share": {name: round(min(1.0, statistics.median(values)), 3) for name, values in shares.items()},
        "flax_times_torch": {
            "training": median_share(train["flax"], train["torch"]),
            "evaluating": median_share(evaluate["flax"], evaluate["torch"]),
        },
        "flax_times_stock": median_share(train["flax"], train["stock"]),
        "training": table(train, [rate / flops for rate in matmul]),
        "evaluating": table(evaluate),
    }
    show(report)
    if options.json is not None:
        write_json(options.json, report)


def table(rates: dict[str, list[float]], floors: list[float] | None = None) -> list[dict[str, Any]]:
    """Make a row for each contender: its median rate, all rates, and its ratio to the loop.

    Args:
        rates: of each contender, one per round.
        floors: the rate of the matmuls alone, one per round.

    Returns:
        Rows whose shares are medians and quartiles of each round's ratios: a change of the machine's speed between
        rounds affects all contenders of a round alike.
    """
    rows = []
    for name, values in rates.items():
        row = {
            "contender": name,
            "per_second": round(statistics.median(values), 1),
            "all_rounds": [round(value, 1) for value in values],
            "times_loop": median_share(values, rates["loop"]),
            "times_loop_quartiles": np.quantile(np.divide(values, rates["loop"]), (0.25, 0.75)).round(2).tolist(),
        }
        if floors is not None:
            row["percent_of_matmul_rate"] = round(float(100 * np.median(np.divide(values, floors))), 1)
        rows.append(row)
    return rows


def median_share(values: list[float], of: list[float]) -> float:
    """Return the median over the rounds of one rate divided by another."""
    return round(float(np.median(np.divide(values, of))), 2)


def show(report: dict[str, Any]) -> None:
    """Print a report."""
    print(
        f"matmul {report['matmul_gflops']:.0f} GFLOP/s; {report['mflop_per_piece']} MFLOP per piece; "
        f"the floor: {report['floor_pieces_per_second']:,.0f} pieces/s"
    )
    for title, unit in (("training", "pieces/s"), ("evaluating", "words/s")):
        print(f"\n{title}")
        for row in report[title]:
            percent = row.get("percent_of_matmul_rate")
            low, high = row["times_loop_quartiles"]
            print(
                f"  {row['contender']:6} {row['per_second']:9,.0f} {unit} {row['times_loop']:6.2f} x loop"
                + f" ({low:.2f} to {high:.2f})"
                + (f" {percent:6.1f} % of the matmul rate" if percent is not None else "")
            )
    beside = report["flax_times_torch"]
    print(
        f"\nFlax against PyTorch: training {beside['training']:.2f}, evaluating {beside['evaluating']:.2f}; "
        f"against stock, training {report['flax_times_stock']:.2f}"
    )
    seconds = report["compile_seconds"]
    print(f"{100 * report['real_positions']:.1f} % of the positions are real, {len(report['shapes'])} shapes")
    print(
        f"compiling: Flax {sum(seconds['flax'].values()):.1f} s, with the cache "
        f"{sum(seconds['flax_with_cache'].values()):.1f} s ({100 * report['cached_share']:.0f} %)"
    )
    for name, share in report["step_share"].items():
        print(f"share of the steps in the training time, {name}: {100 * share:.1f} %")


if __name__ == "__main__":
    run(main)
