"""Faults injected into real runs of both backends, to check that nothing is lost: ``python -m hardening.faults``."""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import Parameter

from hardening.faults.bench import BATCHES, OPTIONS, Bench, Row
from hardening.faults.cost import cost
from hardening.faults.disk_full import disk_full
from hardening.faults.hosts import hosts
from hardening.faults.kill import kill
from hardening.faults.kill_in_save import kill_in_save
from hardening.faults.lock import lock
from hardening.faults.mutate import mutate
from hardening.faults.sigterm import sigterm
from hardening.faults.taken_away import gone, read_only
from hybridner.cli.output import check_writable, write_json
from hybridner.cli.parse import call, guarded, new_app
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS, Backend, versions

Name = Literal["kill", "sigterm", "kill-in-save", "disk-full", "read-only", "gone", "mutate", "hosts", "lock", "cost"]
# The faults and their default number; for disk-full, read-only and gone: the number of places.
ROWS: dict[Name, tuple[Callable[[Bench, int, int], Row], int]] = {
    "kill": (kill, 30),
    "sigterm": (sigterm, 10),
    "kill-in-save": (kill_in_save, 30),
    "disk-full": (disk_full, 7),
    "read-only": (read_only, 5),
    "gone": (gone, 5),
    "mutate": (mutate, 200),
    "hosts": (hosts, 4),
    "lock": (lock, 2),
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Inject faults into real runs, and check that nothing is lost."""

    only: tuple[Name, ...] = ()
    """Kinds of faults; by default all, and cost if --data is given."""
    backend: Literal["flax", "torch", "both"] = "both"
    """The backends to test."""
    times: int | None = None
    """Repetitions of each kind of fault; by default a number that suits the kind."""
    epochs: int = 16
    """Epochs of a run, of 5 steps each."""
    seed: int = 12
    """Decides the moments."""
    data: str | None = None
    """For cost: a corpus as for training."""
    tokenizer: str = "train"
    """For cost: a tokenizer as for training."""
    max_steps: int | None = None
    """For cost: steps to train; by default one epoch."""
    output: Path | None = None
    """Also write the table to this file."""


def main(options: Options = Options()) -> int:
    """Inject the faults, print the table and write the JSON.

    Returns:
        1 if something was lost.

    Raises:
        InputError: the file cannot be written, or ``cost`` has no data.
    """
    check_writable(options.output)
    if "cost" in options.only and options.data is None:
        raise InputError("--only cost needs --data, the corpus to train on")
    backends: tuple[Backend, ...] = BACKENDS if options.backend == "both" else (options.backend,)
    rows: list[Row] = []
    costs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="hybridner-faults-") as scratch:
        # One cache for all processes, including this one: JAX reads this at import.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/xla")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        for backend in backends:
            bench = Bench(backend, Path(scratch), options.epochs)
            for name, (harm, times) in ROWS.items():
                if not options.only or name in options.only:
                    begun = time.perf_counter()
                    rows.append(harm(bench, options.times or times, options.seed))
                    rows[-1].told["minutes"] = round((time.perf_counter() - begun) / 60, 1)
                    print(line(rows[-1]), flush=True)
                    write(options, backends, rows, costs)
            if options.data is not None and (not options.only or "cost" in options.only):
                costs.append(cost(backend, options.data, options.tokenizer, options.max_steps))
                print(cost_line(costs[-1]), flush=True)
                write(options, backends, rows, costs)
    return int(any(row.finds for row in rows))


def write(options: Options, backends: tuple[Backend, ...], rows: list[Row], costs: list[dict[str, Any]]) -> None:
    """Write the results so far: all of them take the better part of an hour."""
    if options.output is None:
        return
    report = {
        "what": "faults injected into real runs, and how often nothing was lost: the run ends, except for times, byte "
        "for byte as the undisturbed one",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": {name: version for backend in backends for name, version in versions(backend).items()},
        "seed": options.seed,
        "run": {**OPTIONS, "epochs": options.epochs, "steps_of_an_epoch": BATCHES},
        "rows": [asdict(row) for row in rows],
        "cost": costs,
    }
    write_json(options.output, report)


def line(row: Row) -> str:
    """Format a row of the table, with the failures below it."""
    if row.skipped:
        return f"{row.name:13} {row.backend:5}  skipped: {row.skipped}"
    found = "".join(f"\n    {find}" for find in row.finds)
    return f"{row.name:13} {row.backend:5} {row.held:4} of {row.done:<4} {row.told['minutes']:6.1f} min{found}"


def cost_line(found: dict[str, Any]) -> str:
    """Format the cost of a backend's checkpoints."""
    each = {name: sum(seconds) / len(seconds) for name, seconds in found["seconds_of_each_save"].items() if seconds}
    return (
        f"cost          {found['backend']:5} {found['checkpoint_bytes'] / 2**20:.0f} MiB: the loop waits "
        f"{each['loop']:.3f} s, {each['in_background']:.2f} s in the background ({each['of_it_sync']:.2f} s sync); "
        f"{found['share_of_training_by_default']:.3%} of training by default"
    )


if __name__ == "__main__":
    sys.exit(guarded(lambda: call(new_app("python -m hardening.faults", default_command=main), sys.argv[1:])))
