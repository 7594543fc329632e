"""The ``hybridner`` command: one file per command."""

import inspect
import re
import sys
from typing import TYPE_CHECKING, Literal

from hybridner.cli.examples import examples
from hybridner.cli.parse import call, guarded, new_app
from hybridner.version import __version__

if TYPE_CHECKING:
    from cyclopts import App

_ABOUT = """\
Find the names of people, places, organisations and whatever else you have labelled. One tagger, a Transformer encoder
with an LSTM, written in Flax and in PyTorch and proved to be the same model: train it with either, use it with either.
"""
_MORE = """\
hybridner COMMAND --help lists the options of a command, with examples.
Documentation: README.md and docs/ of the project (tutorial.md, python.md, converting.md, resuming.md, errors.md).

exit codes:
  0    done
  1    done, and a check found a difference or a problem in the data
  2    the input cannot be used; one line names the reason
  130  interrupted with Ctrl-C
  141  the reader of the output closed it
  143  terminated (SIGTERM)
"""


def main() -> None:
    """Run the command that the user typed, and exit."""
    sys.exit(guarded(lambda: run(sys.argv[1:])))


def run(args: list[str]) -> int:
    """Run a command with its arguments and return its exit code; raise an :class:`InputError` if it cannot use them."""
    return call(make_app(), args)


def completions(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that completes commands, options and files with TAB.

    bash: write it to ~/.local/share/bash-completion/completions/hybridner, or source it in ~/.bashrc.
    zsh: write it to a file _hybridner in a folder of $fpath, which compinit reads.
    fish: write it to ~/.config/fish/completions/hybridner.fish.

    Args:
        shell: The shell that reads the script.
    """
    print(make_app().generate_completion(shell=shell))


def make_app() -> "App":
    """Make the command line from the functions of this package."""
    from cyclopts import Group

    from hybridner.cli import data
    from hybridner.cli.compare import compare
    from hybridner.cli.convert import convert
    from hybridner.cli.evaluate import evaluate
    from hybridner.cli.predict import predict
    from hybridner.cli.push import push
    from hybridner.cli.train import train
    from hybridner.cli.verify import verify

    app = new_app("hybridner", help=_ABOUT, help_epilogue=_MORE, version=f"hybridner {__version__}")
    training = Group("Train a tagger", sort_key=1)
    about = "Check, convert and split files of labelled sentences."
    of_data = new_app("data", help=about, help_epilogue=examples("hybridner data"), group=training)
    app.command(of_data)
    for parent, prog, group, commands in (
        (of_data, "hybridner data", None, (data.check, data.convert, data.split)),
        (app, "hybridner", training, (train,)),
        (app, "hybridner", Group("Use it", sort_key=2), (predict, convert, push)),
        (app, "hybridner", Group("Measure it", sort_key=3), (evaluate, compare, verify)),
        (app, "hybridner", Group("Your shell", sort_key=4), (completions,)),
    ):
        for command in commands:
            # The help keeps the docstring's line breaks: join the lines of an argument.
            command.__doc__ = re.sub(r"\n {8}", " ", inspect.cleandoc(command.__doc__ or ""))
            parent.command(command, group=group, help_epilogue=examples(f"{prog} {command.__name__}"))
    return app
