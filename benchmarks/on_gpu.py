"""Training speed on a GPU: ``python -m benchmarks.on_gpu --data DIR --tokenizer FILE --json FILE``.

The program compares both backends with the baseline ``loop``, with cuDNN's LSTM instead of our scans, and with Flax's
scan unrolled. Each contender runs in a separate process, one after the other, so it has the device's memory to itself;
a failing one becomes a line of the table. The host packs the sentences into rows before a round begins; the
report gives that time separately.

All contenders compute the first step's loss on the same batch, weights and dropout masks, except ``loop``, whose masks
are PyTorch's own: contenders that compute the same model show the same loss, up to rounding.
"""

import dataclasses
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from benchmarks.gpu_contenders import CONTENDERS, Job, framework
from hybridner.cli.output import check_writable, write_json
from hybridner.cli.parse import call, guarded, new_app
from hybridner.config.choices import Device, Dtype, PresetName
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.training.train import make_tokenizer, read_data

_PACKAGES = ("hybridner", "jax", "flax", "torch", "numpy", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13")
_HEAD = (
    f"{'batch':>5} {'dtype':8} {'contender':19} {'pieces/s':>10} {'x loop':>7} {'% matmul':>8} {'loss':>7} {'MiB':>7}"
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure real pieces per second in training on one GPU, dropout on."""

    data: str = "sample"
    """A corpus as for training."""
    tokenizer: str = "train"
    """A tokenizer as for training."""
    preset: PresetName = "original"
    """The model's size."""
    device: Device = "cuda"
    """Where to compute."""
    batch_sizes: tuple[int, ...] = (64, 1024)
    """Sentences of a step."""
    dtypes: tuple[Dtype, ...] = ("float32", "bfloat16")
    """Types of the computation."""
    contenders: tuple[str, ...] = CONTENDERS
    """What to measure."""
    rounds: int = 5
    """Rounds of each contender; the median is reported."""
    steps: int = 20
    """Steps of a round."""
    limit: float = 900.0
    """Seconds after which a contender has failed."""
    json: Path | None = None
    """Also write the table to this file."""


def in_a_process(job: Job, limit: float) -> dict[str, Any]:
    """Return a fresh process' measurement, or why it failed."""
    command = [sys.executable, "-m", "benchmarks.gpu_contenders", json.dumps(dataclasses.asdict(job))]
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"no end within {limit:g} s"}
    if done.returncode < 0:
        return {"failed": f"died of {signal.Signals(-done.returncode).name}"}
    if done.returncode:
        return {"failed": f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def to_row(job: Job, found: dict[str, Any], matmul: dict[str, Any], base: float | None) -> dict[str, Any]:
    """Make a row of the table.

    Args:
        job: the measurement.
        found: the process' result.
        matmul: the result of the framework's matmul in the same type.
        base: pieces per second of ``loop`` at the same batch size and type, if measured.
    """
    row: dict[str, Any] = {"batch_size": job.batch_size, "dtype": job.dtype, "contender": job.contender}
    if "failed" in found:
        return {**row, "failed": found["failed"]}
    rate = statistics.median(found["rates"])
    peak = statistics.median(matmul["rates"]) if "rates" in matmul else None
    memory = found["peak_memory"]
    return {
        **row,
        "pieces_per_second": round(rate, 1),
        "all_rounds": [round(rate, 1) for rate in found["rates"]],
        "times_loop": round(rate / base, 2) if base else None,
        "floor_pieces_per_second": round(peak / found["flops_per_piece"], 1) if peak else None,
        "percent_of_matmul_rate": round(100 * rate * found["flops_per_piece"] / peak, 2) if peak else None,
        "mflop_per_piece": round(found["flops_per_piece"] / 1e6, 2),
        "first_loss": found["first_loss"],
        "warm_up_seconds": round(found["warm_up_seconds"], 1),
        "packing_seconds_a_batch": round(found["packing_seconds_a_batch"], 5),
        "peak_memory_mib": None if memory is None else round(memory / 2**20),
        "shapes": found["shapes"],
        "device": found["device"],
        "note": found["note"],
    }


def line(row: dict[str, Any]) -> str:
    """Format a row of the table."""
    begin = f"{row['batch_size']:5} {row['dtype']:8} {row['contender']:19}"
    if "failed" in row:
        return f"{begin} failed: {row['failed']}"
    show = lambda name, form: format(row[name], form) if row[name] is not None else "-"  # noqa: E731
    return (
        f"{begin} {row['pieces_per_second']:10,.0f} {show('times_loop', '.2f'):>7} "
        f"{show('percent_of_matmul_rate', '.2f'):>8} {row['first_loss']:7.4f} {show('peak_memory_mib', 'd'):>7} "
        f"{row['note']}"
    ).rstrip()


def matmul_line(name: str, found: dict[str, Any]) -> str:
    """Format the result of a framework's matmul."""
    if "failed" in found:
        return f"{name}: failed: {found['failed']}"
    rate = statistics.median(found["rates"])
    return (
        f"{name}: {rate / 1e12:.2f} TFLOP/s at {found['size']} x {found['size']}, rounds as {found['rounds_as']} "
        f"(relative error {found['relative_error']:.1e})"
    )


def measure_all(options: Options, tokenizer: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure matmuls of each framework and type, then the table; print each line as soon as it is ready."""

    def job(contender: str, dtype: Dtype, batch_size: int) -> Job:
        sizes = (batch_size, options.rounds, options.steps)
        return Job(contender, options.data, str(tokenizer), options.preset, options.device, dtype, *sizes)

    matmuls = {}
    for dtype in options.dtypes:
        for backend in sorted({framework(contender) for contender in options.contenders}):
            name = f"matmul-{backend} {dtype}"
            matmuls[name] = in_a_process(job(f"matmul-{backend}", dtype, 1), options.limit)
            print(matmul_line(name, matmuls[name]), flush=True)
    print(_HEAD)
    table = []
    for batch_size in options.batch_sizes:
        for dtype in options.dtypes:
            base = None
            for contender in options.contenders:
                asked = job(contender, dtype, batch_size)
                matmul = matmuls[f"matmul-{framework(contender)} {dtype}"]
                row = to_row(asked, in_a_process(asked, options.limit), matmul, base)
                if contender == "loop" and "failed" not in row:
                    base = row["pieces_per_second"]
                    row["times_loop"] = 1.0
                table.append(row)
                print(line(row), flush=True)
    return matmuls, table


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries that compute."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(options: Options = Options()) -> None:
    """Measure, print the table and write the JSON.

    Raises:
        InputError: a contender does not exist, the data cannot be read, or every measurement failed.
    """
    check_writable(options.json)
    for contender in options.contenders:
        if contender not in CONTENDERS:
            raise InputError(f"no contender {contender!r}; there are {', '.join(CONTENDERS)}")
    training = make_options(options.preset, data=options.data, tokenizer=options.tokenizer)
    tokenizer = make_tokenizer(training, read_data(training))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        matmuls, table = measure_all(options, path)
    measured = [row for row in table if "failed" not in row]
    if options.json is not None:
        report = {
            "what": f"training, preset {options.preset}, dropout on, real pieces per second, median of rounds",
            "data": options.data,
            "device": sorted({row["device"] for row in measured}),
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
            "versions": versions(),
            "options": {"rounds": options.rounds, "steps": options.steps},
            "matmul": matmuls,
            "table": table,
        }
        write_json(options.json, report)
    if not measured:
        raise InputError(f"nothing could be measured on {options.device}; {table[0]['failed']}")


if __name__ == "__main__":
    sys.exit(guarded(lambda: call(new_app("python -m benchmarks.on_gpu", default_command=main), sys.argv[1:])))
