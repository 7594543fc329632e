"""``hybridner convert``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.cli.parse import parse


@dataclass(frozen=True)
class ConvertOptions:
    """Move a model or a run in training between Flax, PyTorch and the original HybridNER, bit for bit."""

    source: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or a checkpoint of the original (NAME.pth)."""
    destination: Annotated[Path, tyro.conf.Positional]
    """What to write; it must not exist yet. A run becomes a run, which goes on with --resume; a model a folder."""
    to: str
    """flax (a model's weights as an Orbax checkpoint), torch (as safetensors), or original (one .pth file)."""
    num_heads: int | None = None
    """For a .pth file: its attention heads; 4 by default."""
    labels: Path | None = None
    """For a .pth file: its labels, a file with one a line; by default the original's nine."""
    tokenizer: str | None = None
    """For a .pth file: its vocab.txt, a tokenizer.json, or a Hub id."""
    lstm: bool = True
    """For a .pth file: whether the model uses its LSTM."""
    json: Path | None = None
    """Also write what was done, and what there is to know about it, to this file; - prints it instead."""


def run(args: list[str]) -> int:
    """Convert from the command line.

    Raises:
        InputError: the source is not usable, or the destination is taken.
    """
    options = parse(ConvertOptions, args, "hybridner convert")
    check_writable(options.json)
    from hybridner.export.convert import convert
    from hybridner.saved.original import OriginalOptions

    missing = OriginalOptions(options.num_heads, options.labels, options.tokenizer, options.lstm)
    done, *notes = convert(options.source, options.destination, options.to, missing)
    with for_people(options.json):
        print(done, *notes, sep="\n")
    if options.json is not None:
        facts = {"source": options.source, "destination": str(options.destination), "to": options.to}
        write_json(options.json, {**facts, "done": done, "notes": notes})
    return 0
