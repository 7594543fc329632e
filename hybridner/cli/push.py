"""``hybridner push``."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from hybridner.cli.parse import parse


@dataclass(frozen=True)
class PushOptions:
    """Publish a saved model on the Hugging Face Hub: config, tokenizer, weights and card, nothing else.

    Log in first, with hf auth login. Read the model's README.md before: it is the page that others will see.
    """

    model: Annotated[str, tyro.conf.Positional]
    """A run, or a model folder in safetensors form."""
    repository: Annotated[str, tyro.conf.Positional]
    """OWNER/NAME on the Hub; made if it is not there."""
    private: bool = False
    """Let nobody else see it."""
    message: str | None = None
    """Message of the commit."""
    dry_run: bool = False
    """Only say what would be done."""


def run(args: list[str]) -> int:
    """Publish from the command line.

    Raises:
        InputError: the model is not usable, or the Hub is out of reach or refuses.
    """
    options = parse(PushOptions, args, "hybridner push")
    from hybridner.export.push import push_model

    said = push_model(
        options.model,
        options.repository,
        private=options.private,
        message=options.message,
        dry_run=options.dry_run,
    )
    print(*said, sep="\n")
    return 0
