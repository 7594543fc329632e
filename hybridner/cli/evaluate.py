"""``hybridner evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

import tyro

from hybridner.cli.output import STANDARD_OUTPUT, check_writable, for_people, write_json, write_text
from hybridner.cli.parse import parse
from hybridner.cli.reading import Reading
from hybridner.config import Device, Dtype


@dataclass(frozen=True)
class EvaluateOptions(Reading):
    """Score a model on labelled data: entities as conlleval counts them."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or OWNER/NAME on the Hugging Face Hub."""
    data: str
    """A labelled file, or a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    split: str | None = None
    """The split to score: train, valid (dev) or test, which is the default. A file has none."""
    train: str | None = None
    """What entities count as seen: a labelled file, or a corpus, meaning its train split; by default that of --data."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""
    json: Path | None = None
    """Also write all numbers to this file; - prints them instead."""
    html: Path | None = None
    """Also write the report, with pictures, to this file as one HTML page; - prints it instead."""


def run(args: list[str]) -> int:
    """Score a model from the command line.

    Raises:
        InputError: the model or the data is not usable.
    """
    options = parse(EvaluateOptions, args, "hybridner evaluate")
    for path in (options.json, options.html):
        check_writable(path)
    from hybridner.evaluation import evaluate
    from hybridner.evaluation_report import evaluation_page, evaluation_text
    from hybridner.tagging import load

    taken = STANDARD_OUTPUT if STANDARD_OUTPUT in (options.json, options.html) else None
    with for_people(taken):
        tagger = load(options.model, options.backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
        evaluation = evaluate(
            tagger,
            options.data,
            options.split,
            options.train,
            columns=options.columns(),
            misaligned=options.misaligned,
        )
    if options.html is not None:
        write_text(options.html, evaluation_page(evaluation))
    if options.json is not None:
        write_json(options.json, evaluation.to_dict())
    # Printed last: a reader of the text may close the pipe (``| head``), and the files are to be whole then.
    with for_people(taken):
        print(evaluation_text(evaluation, get_terminal_size().columns))
    return 0
