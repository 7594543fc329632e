"""``hybridner compare``."""

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
class CompareOptions(Reading):
    """Say how far the scores of two models differ on the same labelled data, how sure that is, and at which entities.

    The interval is a paired bootstrap's. The same model can be compared in both twins: give it twice.
    """

    a: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or OWNER/NAME on the Hugging Face Hub."""
    b: Annotated[str, tyro.conf.Positional]
    """Another one, or the same."""
    data: str
    """A labelled file, or a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    split: str | None = None
    """The split to score: train, valid (dev) or test, which is the default. A file has none."""
    backend_a: str | None = None
    """What computes A: flax or torch; by default the one that is installed, Flax first."""
    backend_b: str | None = None
    """What computes B."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""
    json: Path | None = None
    """Also write all numbers to this file; - prints them instead."""
    html: Path | None = None
    """Also write the report, with pictures, to this file as one HTML page; - prints it instead."""


def run(args: list[str]) -> int:
    """Compare two models from the command line.

    Raises:
        InputError: a model or the data is not usable.
    """
    options = parse(CompareOptions, args, "hybridner compare")
    for path in (options.json, options.html):
        check_writable(path)
    from hybridner.comparison import compare
    from hybridner.comparison_report import comparison_page, comparison_text
    from hybridner.tagging import load

    taken = STANDARD_OUTPUT if STANDARD_OUTPUT in (options.json, options.html) else None
    with for_people(taken):
        a, b = (
            load(model, backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
            for model, backend in ((options.a, options.backend_a), (options.b, options.backend_b))
        )
        comparison = compare(
            a, b, options.data, options.split, columns=options.columns(), misaligned=options.misaligned
        )
    if options.html is not None:
        write_text(options.html, comparison_page(comparison))
    if options.json is not None:
        write_json(options.json, comparison.to_dict())
    # Printed last: a reader of the text may close the pipe (``| head``), and the files are to be whole then.
    with for_people(taken):
        print(comparison_text(comparison, get_terminal_size().columns))
    return 0
