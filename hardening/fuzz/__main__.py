"""Damaged files for every reader of the project: ``python -m hardening.fuzz``.

Each reader gets mutations of files that the project wrote. It must answer each with a value or a one-line
``InputError``, within limits of time and memory. The fuzzer shrinks anything else, a find, and keeps it with its
traceback. A fixed seed gives the same cases.
"""

import json
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cyclopts import Parameter, run

from hardening.fuzz.campaign import Campaign, fuzz
from hardening.fuzz.cases import FINDS, Limits
from hardening.fuzz.readers import READERS
from hybridner.cli.output import write_json
from hybridner.display.tables import Table

_PACKAGES = ("hybridner", "tokenizers", "safetensors", "pyarrow", "pyyaml", "torch", "jax", "orbax-checkpoint")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Read damaged files, and keep those to which a reader gives neither a value nor one clear line."""

    reader: tuple[str, ...] = tuple(reader.name for reader in READERS)
    """Readers to fuzz."""
    minutes: float = 10.0
    """Time for each reader."""
    cases: int | None = None
    """Stop after this many cases of a reader."""
    seed: int = 0
    """Decides the cases."""
    finds: Path = Path("finds")
    """Folder for the finds."""
    output: Path | None = None
    """Also write the counts to this JSON file; it keeps its rows of other readers."""


def main(options: Options = Options()) -> int:
    """Fuzz the readers one after the other; return 1 after any find."""
    names = [reader.name for reader in READERS]
    if unknown := [name for name in options.reader if name not in names]:
        print(f"no reader {unknown[0]}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    rows: list[dict[str, Any]] = []
    for reader in READERS:
        if reader.name in options.reader:
            end = time.perf_counter() + 60 * options.minutes

            def goes_on(campaign: Campaign, end: float = end) -> bool:
                return time.perf_counter() < end and campaign.cases != options.cases

            row = fuzz(reader, options.seed, goes_on, options.finds).to_dict()
            rows.append({**row, "seed": options.seed})
            print(f"{reader.name}: {row['cases']:,} cases, {len(row['finds'])} finds", file=sys.stderr, flush=True)
            for find in row["finds"]:
                print(f"  {find['result']}: {find['sign']} ({find['count']} times), {find['case']}", file=sys.stderr)
    print(table(rows).text())
    if options.output is not None:
        write_json(options.output, report(_kept(options.output, rows)))
    return int(any(row["finds"] for row in rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """Make a row for each reader."""
    header = ("reader", "cases", "accepted", "refused", "tracebacks", "hangs", "other", "slowest s", "MiB")
    cells = []
    for row in rows:
        other = sum(row[name] for name in FINDS) - row["traceback"] - row["hang"]
        counts = [row["cases"], row["accepted"], row["refused"], row["traceback"], row["hang"], other]
        slow, memory = f"{row['slowest_case_seconds']:.2f}", f"{row['most_memory_mib']:.0f}"
        cells.append((row["reader"], *(f"{count:,}" for count in counts), slow, memory))
    return Table(header, cells)


def report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Make the JSON report."""
    limits = Limits()
    return {
        "what": "damaged files read: each is to give a value or an InputError of one line, within the bounds of a case",
        "bounds": {"seconds": limits.seconds, "memory_mib": limits.memory_mib, "address_space_mib": limits.address_mib},
        "results": {"accepted": "a value", "refused": "an InputError of one line", **FINDS},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in _PACKAGES},
        "readers": rows,
    }


def _kept(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``rows`` and the file's rows of other readers, in the order of the readers."""
    before = json.loads(path.read_text(encoding="utf-8"))["readers"] if path.exists() else []
    by_name = {row["reader"]: row for row in (*before, *rows)}
    return [by_name[reader.name] for reader in READERS if reader.name in by_name]


if __name__ == "__main__":
    run(main)
