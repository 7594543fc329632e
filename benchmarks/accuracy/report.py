"""The table and the learning curve of finished runs."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.accuracy.runs import Plan, Record
from hybridner.evaluation.bootstrap import CONFIDENCE, RESAMPLES, SEED, f1_of_counts, resampled

Row = dict[str, Any]


def make_report(plan: Plan, records: Sequence[Record]) -> dict[str, Any]:
    """Collect the table and everything behind it as plain values; the counts of documents stay in the records."""
    parts = list(plan.parts.values())
    scored = records[0]["test"]
    return {
        "what": "micro F1 of entities as conlleval counts them; dev chooses, test is only reported",
        "data": parts[0].name,
        "split_seeds": [seed for seed in plan.parts if seed is not None],
        "sentences": {name: [len(getattr(one, name)) for one in parts] for name in ("train", "dev", "test")},
        "notes": list(parts[0].notes),
        "seeds": list(plan.seeds),
        "command": command(plan),
        "machines": sorted({record["machine"] for record in records}),
        "systems": [{"system": s.name, "about": s.about, "versions": s.versions} for s in plan.systems.values()],
        "scorer": scored["scorer"],
        "seen": scored["seen"]["definition"],
        "bootstrap": [_of_split(records, split)["test"]["bootstrap"] for split in plan.parts],
        "table": table(plan, records),
        "runs": [{**record, **{name: _without_counts(record[name]) for name in ("dev", "test")}} for record in records],
    }


def command(plan: Plan) -> str:
    """Write the command that made the report, with names of files and folders instead of their paths."""
    name = next(iter(plan.parts.values())).name
    systems = ",".join(re.sub("=.*/", "=", name) for name in plan.systems)
    parts = ["python -m benchmarks.accuracy --data", name, "--systems", systems, "--seeds", *plan.seeds]
    parts += ["--sizes", *("all" if size is None else size for size in plan.sizes)]
    splits = [seed for seed in plan.parts if seed is not None]
    parts += ["--split-seeds", *splits] if splits else []
    return " ".join(map(str, [*parts, "--backend", plan.backend]))


def _of_split(records: Sequence[Record], split_seed: int | None) -> Record:
    return next(record for record in records if record["split_seed"] == split_seed)


def _without_counts(scores: Record) -> Record:
    return {name: value for name, value in scores.items() if name != "counts"}


def table(plan: Plan, records: Sequence[Record]) -> list[Row]:
    """Make a row for each size and system.

    Returns:
        Rows with means over a system's runs, one for each seed and split. "test_f1_interval" is a bootstrap of that
        mean over the units of the test splits; "less_first" is the difference to the first system, with the interval
        of the paired bootstrap. "test_f1_range" has the lowest and the highest run.
    """
    rows: list[Row] = []
    for size in plan.sizes:
        names = [system.name for system in plan.systems.values()]
        runs = [[one for one in records if one["system"] == name and one["size"] == size] for name in names]
        drawn = resampled_f1(runs)
        first_f1 = _mean(one["test"]["f1"] for one in runs[0])
        for number, (name, found) in enumerate(zip(names, runs, strict=True)):
            f1 = [one["test"]["f1"] for one in found]
            recalls = [one["test"]["seen"]["gold_unseen"]["recall"] for one in found]
            rows.append(
                {
                    "size": size,
                    "sentences": round(_mean(one["sentences"] for one in found)),
                    "system": name,
                    "runs": len(found),
                    "dev_f1": _mean(one["dev"]["f1"] for one in found),
                    "test_f1": _mean(f1),
                    "test_f1_interval": _middle(drawn[number]),
                    "test_f1_range": [min(f1), max(f1)],
                    "less_first": _mean(f1) - first_f1 if number else None,
                    "less_first_interval": _middle(drawn[number] - drawn[0]) if number else None,
                    "recall_unseen": None if None in recalls else _mean(recalls),
                    "seconds": statistics.median(one["seconds"] for one in found),
                    "parameters": round(statistics.median(one["parameters"] for one in found)),
                }
            )
    return rows


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))


def _middle(values: Float[np.ndarray, "resamples"]) -> list[float]:
    return np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()


def resampled_f1(runs: Sequence[Sequence[Record]]) -> Float[np.ndarray, "systems resamples"]:
    """Compute each system's mean test F1 over its runs in resamples of the test data, the same for all systems.

    Args:
        runs: the records of each system; all systems have the same splits.
    """
    means = []
    for number, split in enumerate(dict.fromkeys(one["split_seed"] for one in runs[0])):
        counts = [[one["test"]["counts"] for one in found if one["split_seed"] == split] for found in runs]
        side_by_side = np.hstack([np.array(one, np.int64) for found in counts for one in found])
        drawn = resampled(side_by_side, RESAMPLES, SEED + number)
        f1 = f1_of_counts(drawn.reshape(-1, 3)).reshape(RESAMPLES, -1)
        ends = np.cumsum([len(found) for found in counts])[:-1]
        means.append([of_system.mean(axis=1) for of_system in np.split(f1, ends, axis=1)])
    return np.mean(means, axis=0)


def page(report: dict[str, Any], picture: str | None) -> str:
    """Write the report as Markdown; ``picture`` is the name of the learning curve's file."""
    sizes = {name: _numbers(values) for name, values in report["sentences"].items()}
    splits, kinds = report["split_seeds"], report["bootstrap"]
    units = f"{_numbers([one['units'] for one in kinds])} {kinds[0]['unit']}"
    lines = [
        f"# Accuracy on {report['data']}",
        "",
        f"Written by `{report['command']}` on {'; '.join(report['machines'])}.",
        f"Sentences: train {sizes['train']}, dev {sizes['dev']}, test {sizes['test']}"
        + (f"; split by document with seeds {', '.join(map(str, splits))}." if splits else "."),
        "",
        *markdown_table(report["table"]),
        "",
        f"Means over the runs, one for each seed{' and split' if splits else ''}. Scorer: {report['scorer']}.",
        f"The interval is a bootstrap of the mean over the test split's {units} ({RESAMPLES:,} resamples); that of a",
        "difference pairs both systems in each resample. It does not cover other seeds: the range of the runs does.",
        f"Unseen: not seen in the sentences trained on; seen: {report['seen']}.",
        "Seconds: wall-clock time of one training, median, with loading of libraries, compiling and scoring of dev.",
    ]
    if picture is not None:
        lines += ["", f"![test F1 by number of train sentences]({picture})"]
    lines += ["", "| system | what it is | versions |", "|---|---|---|"]
    for one in report["systems"]:
        versions = ", ".join(f"{name} {version}" for name, version in one["versions"].items())
        lines.append(f"| {one['system']} | {one['about']} | {versions} |")
    return "\n".join([*lines, *(f"\n{note}" for note in report["notes"])]) + "\n"


def _numbers(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def markdown_table(rows: Sequence[Row]) -> list[str]:
    """Write the lines of the table; a column that would say nothing is left out."""
    columns = {
        "sentences": lambda row: f"{row['sentences']:,}",
        "system": lambda row: row["system"],
        "dev F1": lambda row: _share(row["dev_f1"]),
        "test F1": lambda row: _share(row["test_f1"]),
        "95 % interval": lambda row: _range(row["test_f1_interval"]),
        "lowest to highest run": lambda row: f"{_range(row['test_f1_range'])} of {row['runs']}",
        f"test F1 less that of {rows[0]['system']}": _difference,
        "recall, unseen": lambda row: _share(row["recall_unseen"]),
        "seconds": lambda row: f"{row['seconds']:,.0f}",
        "parameters": lambda row: f"{row['parameters']:,}",
    }
    if len({row["size"] for row in rows}) == 1:
        del columns["sentences"]
    if all(row["runs"] == 1 for row in rows):
        del columns["lowest to highest run"]
    if len({row["system"] for row in rows}) == 1:
        del columns[f"test F1 less that of {rows[0]['system']}"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in rows]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _range(values: Sequence[float]) -> str:
    return f"{values[0]:.4f} to {values[1]:.4f}"


def _difference(row: Row) -> str:
    if row["less_first"] is None:
        return ""
    low, high = row["less_first_interval"]
    return f"{row['less_first']:+.4f} ({low:+.4f} to {high:+.4f})"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw each system's mean test F1 by the number of train sentences, and the range of its runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, marker in zip(dict.fromkeys(row["system"] for row in rows), "osD^vPX*" * len(rows), strict=False):
        found = sorted((row for row in rows if row["system"] == name), key=lambda row: row["sentences"])
        at = [row["sentences"] for row in found]
        (curve,) = axes.plot(at, [row["test_f1"] for row in found], marker=marker, label=name)
        low, high = zip(*(row["test_f1_range"] for row in found), strict=True)
        axes.fill_between(at, low, high, color=curve.get_color(), alpha=0.15, linewidth=0)
    ticks = sorted({row["sentences"] for row in rows})
    axes.set(xlabel="sentences trained on", ylabel="test F1", xscale="log")
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})
