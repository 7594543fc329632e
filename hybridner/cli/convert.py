"""``hybridner convert``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hybridner.cli.parse import parse


@dataclass(frozen=True)
class ConvertOptions:
    """Move a model between Flax and PyTorch, bit for bit."""

    source: Annotated[str, tyro.conf.Positional]
    """A run, or a model folder of either twin."""
    destination: Annotated[Path, tyro.conf.Positional]
    """The folder to write; it must not exist yet."""
    to: Literal["flax", "torch"]
    """flax: weights as an Orbax checkpoint for plain Flax code; torch: as safetensors."""


def run(args: list[str]) -> int:
    """Convert from the command line.

    Raises:
        InputError: the source is not usable, or the destination is taken.
    """
    options = parse(ConvertOptions, args, "hybridner convert")
    from hybridner.conversion import convert_model

    convert_model(options.source, options.destination, options.to)
    print(f"{options.destination}: model in {options.to} form")
    return 0
