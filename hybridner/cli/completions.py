"""``hybridner completions``."""

import contextlib
import functools
import importlib.util
import io
import operator
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any, Literal

import tyro

from hybridner.cli.parse import parse
from hybridner.errors import InputError

Shell = Literal["bash", "zsh", "fish", "tcsh"]

# tyro's scripts complete no file where a positional argument stands, and a model is one. So where their embedded Python
# finds nothing it answers with tyro's own mark for files, and bash and fish complete file names in their own way.
_FOUND = "get_completions(words, current_index, COMPLETION_SPEC)"
_PATCHES = {
    "print(completion)": "print(completion.replace(chr(10), ' '))",  # one a line, whatever an option's help is like
    _FOUND: f"{_FOUND} or ['__TYRO_COMPLETE_FILES__']",
    'COMPREPLY=($(compgen -f -- "$cur"))': "COMPREPLY=()",
    "complete -F": "complete -o default -F",
    "complete --no-files": "complete",
}


@dataclass(frozen=True)
class CompletionsOptions:
    """Print a script that lets your shell complete commands, options and files with TAB.

    bash: write it to ~/.local/share/bash-completion/completions/hybridner, or source it in ~/.bashrc.
    zsh: write it to a file _hybridner in a folder of $fpath, which compinit reads.
    fish: write it to ~/.config/fish/completions/hybridner.fish.
    tcsh: source it in ~/.tcshrc; to print it takes the package shtab.
    """

    shell: Annotated[Shell, tyro.conf.Positional]
    """bash, zsh, fish or tcsh."""


def run(args: list[str]) -> int:
    """Print a completion script.

    Raises:
        InputError: no such shell, or one that tyro does not know by itself and shtab, which does, is not installed.
    """
    shell = parse(CompletionsOptions, args, "hybridner completions").shell
    if shell == "tcsh" and importlib.util.find_spec("shtab") is None:
        raise InputError("completions for tcsh need shtab; pip install shtab")
    print(script(shell))
    return 0


def script(shell: Shell) -> str:
    """The completion script of all commands, as tyro makes it, completing file names where nothing else fits."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        tyro.cli(_one_of(_commands()), prog="hybridner", args=["--tyro-write-completion", shell, "-"])
    text = printed.getvalue()
    for part, replacement in _PATCHES.items():
        text = text.replace(part, replacement)
    return text


def _one_of(commands: dict[str, Any]) -> Any:
    return functools.reduce(
        operator.or_, (Annotated[kind, tyro.conf.subcommand(name)] for name, kind in commands.items())
    )


def _commands() -> dict[str, Any]:
    from hybridner.cli import data
    from hybridner.cli.compare import CompareOptions
    from hybridner.cli.convert import ConvertOptions
    from hybridner.cli.evaluate import EvaluateOptions
    from hybridner.cli.predict import PredictOptions
    from hybridner.cli.push import PushOptions
    from hybridner.cli.train import TrainOptions
    from hybridner.cli.verify import VerifyOptions

    of_data = {"check": data.CheckOptions, "convert": data.ConvertOptions, "split": data.SplitOptions}
    command = ("command", Annotated[_one_of(of_data), tyro.conf.OmitSubcommandPrefixes])
    return {
        "data": make_dataclass("Data", [command]),
        "train": TrainOptions,
        "predict": PredictOptions,
        "convert": ConvertOptions,
        "push": PushOptions,
        "evaluate": EvaluateOptions,
        "compare": CompareOptions,
        "verify": VerifyOptions,
        "completions": CompletionsOptions,
    }
