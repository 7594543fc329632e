"""``hybridner evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hybridner.cli.output import check_writable, write_json
from hybridner.cli.parse import parse
from hybridner.config import Device, Dtype


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a model on labelled data: entities as conlleval counts them."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, or a model folder of either twin."""
    data: str
    """A folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    split: str = "test"
    """The split to score: train, valid (dev) or test."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""
    json: Path | None = None
    """Also write the scores to this file."""


def run(args: list[str]) -> int:
    """Score a model from the command line.

    Raises:
        InputError: the model or the data is not usable.
    """
    options = parse(EvaluateOptions, args, "hybridner evaluate")
    check_writable(options.json)
    from hybridner.evaluation import evaluate
    from hybridner.tagging import load

    tagger = load(options.model, options.backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
    evaluation = evaluate(tagger, options.data, options.split)
    for note in evaluation.notes:
        print(note)
    if evaluation.num_windowed:
        print(f"sentences longer than the model takes, cut into windows: {evaluation.num_windowed:,}")
    print(f"{evaluation.data}, {evaluation.split} split, on {evaluation.device}\n")
    print(f"argmax of each word (the headline)\n{evaluation.argmax.table()}\n")
    print(f"decoded to valid sequences\n{evaluation.decoded.table()}")
    if options.json is not None:
        write_json(options.json, evaluation.to_dict())
    return 0
