"""Train and score named systems on one corpus: ``python -m benchmarks.accuracy --data DIR --output FOLDER/NAME``.

Each training runs in a process of its own. Its scores are added to ``NAME.jsonl`` at once, so the same command, run
again after it was interrupted or with more systems, sizes or seeds, trains only what is missing.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from benchmarks.accuracy.data import read_parts
from benchmarks.accuracy.ours import Preset
from benchmarks.accuracy.report import draw, make_report, page
from benchmarks.accuracy.runs import Plan, Results, finish, in_a_process, make_system
from benchmarks.accuracy.systems import System
from hybridner.cli.output import write_json, write_text
from hybridner.cli.parse import call, guarded, new_app
from hybridner.errors import InputError, needs
from hybridner.model.twins import Backend, choose_backend

_Several = Parameter(consume_multiple=True)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Train and score systems; write NAME.json, NAME.md and, for several sizes, NAME.png."""

    output: Path
    """Folder and NAME of the files to write, such as results/accuracy/conll2003."""
    data: str = "sample"
    """A corpus with a test split, as for training, or a labelled file, which is split by document."""
    systems: Annotated[tuple[str, ...], _Several] = ("base", "crf", "spacy")
    """Presets, also with options as in base+vectors=FILE or base+head=softmax; crf; spacy. Commas may separate them."""
    backend: Backend | None = None
    """Backend of the presets; by default the one that is installed, Flax first."""
    seeds: Annotated[tuple[int, ...], _Several] = (1, 2, 3)
    """Seeds of the trainings."""
    sizes: Annotated[tuple[str, ...], _Several] = ("all",)
    """Numbers of train sentences, drawn by the seed of the training; "all" is the whole split."""
    split_seeds: Annotated[tuple[int, ...], _Several] = ()
    """Seeds of the splits of a single file, as for hybridner data split; by default 0."""


def main(options: Options) -> None:
    """Train what is missing, print the report and write its files.

    Raises:
        InputError: the data, a system, a size or the folder is not usable.
    """
    sizes, seeds = list(dict.fromkeys(map(_size, options.sizes))), list(dict.fromkeys(options.seeds))
    if len(sizes) > 1 and (missing := needs("a learning curve", "matplotlib", "plots")):
        raise InputError(missing)
    backend = choose_backend(options.backend)
    systems = make_systems([name for names in options.systems for name in names.split(",") if name], backend)
    split_seeds = options.split_seeds or ((0,) if Path(options.data).expanduser().is_file() else (None,))
    parts = {seed: read_parts(options.data, seed) for seed in split_seeds}
    fewest = min(len(one.train) for one in parts.values())
    if too_large := [size for size in sizes if size is not None and size > fewest]:
        raise InputError(f"--sizes: {too_large[0]:,} is more than the train split's {fewest:,} sentences; or say all")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    json, markdown, picture, results, log = (
        options.output.with_name(f"{options.output.name}.{suffix}") for suffix in ("json", "md", "png", "jsonl", "log")
    )
    plan = Plan(systems, backend, options.data, parts, sizes, seeds)
    records = finish(plan, Results(results), partial(in_a_process, log=log))
    report = make_report(plan, records)
    if len(sizes) > 1:
        draw(report["table"], picture)
    text = page(report, picture.name if len(sizes) > 1 else None)
    write_json(json, report)
    write_text(markdown, text)
    print(text)


def _size(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise InputError(f"--sizes: {text!r}; expected numbers of sentences, or all")
    return int(text)


def make_systems(names: list[str], backend: Backend) -> dict[str, System]:
    """Make the systems by name; one with an option that this version lacks is skipped, and a line says so.

    Raises:
        InputError: a system cannot be made, two would have the same name in the table, or none is left.
    """
    systems = {name: make_system(name, backend) for name in names}
    for name, system in list(systems.items()):
        if isinstance(system, Preset) and system.unknown:
            print(f"{name}: skipped; this version has no option {system.unknown[0]!r}")
            del systems[name]
    if len({system.name for system in systems.values()}) < len(systems):
        raise InputError(f"--systems: two of {', '.join(systems)} would have the same name in the table")
    if not systems:
        raise InputError("--systems: none to train")
    return systems


if __name__ == "__main__":
    sys.exit(guarded(lambda: call(new_app("python -m benchmarks.accuracy", default_command=main), sys.argv[1:])))
