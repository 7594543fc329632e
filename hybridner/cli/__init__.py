"""The ``hybridner`` command: one file a sub-command."""

import importlib
import sys

from hybridner import __version__
from hybridner.cli.parse import guarded
from hybridner.config import nearest
from hybridner.errors import InputError

_COMMANDS = {
    "train": "train a tagger with Flax or PyTorch",
    "predict": "find the entities of a text",
    "evaluate": "score a model on labelled data",
    "convert": "move a model or a run between Flax, PyTorch and the original",
    "verify": "prove that a model is the same in both, or two models the same",
}


def main() -> None:
    """Run the command line and exit."""
    sys.exit(guarded(lambda: run(sys.argv[1:])))


def run(args: list[str]) -> int:
    """Run a sub-command with its arguments; its exit code.

    Raises:
        InputError: there is no such command, or the command was given something it cannot use.
    """
    if not args or args[0] in ("-h", "--help"):
        lines = [f"  {name:<10} {about}" for name, about in _COMMANDS.items()]
        print("usage: hybridner COMMAND [OPTIONS]\n\nNamed-entity tagging with one model in Flax and PyTorch.\n")
        print("\n".join(["commands:", *lines, "", "hybridner COMMAND --help says what a command takes."]))
        return 0
    if args[0] == "--version":
        print(f"hybridner {__version__}")
        return 0
    if args[0] not in _COMMANDS:
        raise InputError(f"unknown command {args[0]!r}{nearest(args[0], list(_COMMANDS))}")
    return importlib.import_module(f"hybridner.cli.{args[0]}").run(args[1:])
