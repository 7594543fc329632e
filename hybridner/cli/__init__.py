"""The ``hybridner`` command: one file a sub-command."""

import importlib
import sys

from hybridner.cli.examples import EXAMPLES
from hybridner.cli.parse import guarded
from hybridner.config.checks import nearest
from hybridner.errors import InputError
from hybridner.version import __version__

_GROUPS = {
    "train a tagger": {
        "data": "check, convert and split files of labelled sentences",
        "train": "train with Flax or PyTorch",
    },
    "use it": {
        "predict": "find the entities of a text",
        "convert": "move a model or a run between Flax, PyTorch and the original",
        "push": "publish a model on the Hugging Face Hub",
    },
    "know how good it is": {
        "evaluate": "score a model on labelled data",
        "compare": "say whether two models' scores differ",
        "verify": "prove that a model is the same in both, or two models the same",
    },
    "your shell": {
        "completions": "complete commands and options with TAB",
    },
}
_COMMANDS = {name: about for group in _GROUPS.values() for name, about in group.items()}

_WHAT = """\
Finds the names of people, places, organisations and whatever else you have labelled. One tagger, a Transformer encoder
with an LSTM, written in Flax and in PyTorch and proved to be the same model: train it with either, use it with either.
"""
_MORE = """\
hybridner COMMAND --help says what a command takes, with examples. hybridner --version says the version.
Documentation: README.md and docs/ of the project (tutorial.md, python.md, converting.md, resuming.md, errors.md).

exit codes: 0 done; 1 done, and what was asked about differs or was found; 2 the input is not usable, said in one line;
130 Ctrl-C; 141 the reader of the output closed it; 143 terminated (SIGTERM)"""


def main() -> None:
    """Run the command line and exit."""
    sys.exit(guarded(lambda: run(sys.argv[1:])))


def run(args: list[str]) -> int:
    """Run a sub-command with its arguments; its exit code.

    Raises:
        InputError: there is no such command, or the command was given something it cannot use.
    """
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0
    if args[0] == "--version":
        print(f"hybridner {__version__}")
        return 0
    if args[0] not in _COMMANDS:
        raise InputError(f"unknown command {args[0]!r}{nearest(args[0], list(_COMMANDS))}")
    return importlib.import_module(f"hybridner.cli.{args[0]}").run(args[1:])


def _help() -> str:
    lines = ["usage: hybridner COMMAND [OPTIONS]", "", _WHAT]
    for title, commands in _GROUPS.items():
        lines.append(f"{title}:")
        for name, about in commands.items():
            lines += [f"  {name:<12} {about}", f"  {'':<12} {EXAMPLES[f'hybridner {name}'][0]}"]
        lines.append("")
    return "\n".join([*lines, _MORE])
