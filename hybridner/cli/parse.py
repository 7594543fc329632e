"""Options from a dataclass through tyro, with every mistake as one line."""

import contextlib
import dataclasses
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from hybridner.cli.examples import examples
from hybridner.config.checks import nearest
from hybridner.errors import InputError
from hybridner.training.signals import Stopped

Options = TypeVar("Options")

USER_ERROR = 2
INTERRUPTED = 130
CLOSED_PIPE = 141
_BOX = "╭╮╰╯│─ \n"


def parse(kind: Callable[..., Options], args: Sequence[str], prog: str, default: Options | None = None) -> Options:
    """Options of ``kind`` from the command line.

    Args:
        kind: a dataclass whose docstring and field docstrings are the help.
        args: what the user typed.
        prog: the command's name in the help.
        default: values of the options that were not typed.

    Raises:
        InputError: an option that does not exist (the message names the nearest) or a value that does not fit.
        SystemExit: 0, after printing the help that was asked for.
    """
    import tyro

    fields = _flat_fields(kind)
    args = _spell_out_flags(args, [f.name for f in fields if f.type == (bool | None)])
    more: dict[str, Any] = {"config": (tyro.conf.OmitArgPrefixes,)}
    if default is not None:
        more["default"] = default
    printed = io.StringIO()
    try:
        if {"-h", "--help"} & set(args):
            try:
                return tyro.cli(kind, prog=prog, args=args, **more)
            finally:
                print("\n".join(["", "examples:", *(f"  {line}" for line in examples(prog))]))
                sys.stdout.flush()  # a closed pipe shows here, where guarded() sees it
        with contextlib.redirect_stderr(printed), contextlib.redirect_stdout(printed):
            options, unknown = tyro.cli(kind, prog=prog, args=args, return_unknown_args=True, **more)
    except SystemExit as stop:
        if stop.code == 0:
            raise
        raise InputError(_one_line(printed.getvalue()).removeprefix(f"Error parsing {kind.__name__}: ")) from None
    for arg in unknown:
        if arg.startswith("-"):
            names = [f"--{f.name.replace('_', '-')}" for f in fields]
            raise InputError(f"unknown option {arg.split('=')[0]!r}{nearest(arg.split('=')[0], names)}")
    if unknown:
        raise InputError(f"unexpected argument {unknown[0]!r}; options begin with --")
    return options


def _flat_fields(kind: Any) -> "list[dataclasses.Field[Any]]":
    """The fields of a dataclass, with those of a group in the group's place."""
    return [
        one
        for f in dataclasses.fields(kind)
        for one in (dataclasses.fields(f.type) if dataclasses.is_dataclass(f.type) else [f])
    ]


def given_options(names: Iterable[str], args: Sequence[str]) -> set[str]:
    """Collect the options among ``names`` that ``args`` set."""
    typed = {arg.split("=")[0].removeprefix("--").replace("-", "_") for arg in args if arg.startswith("--")}
    return {name for name in names if name in typed or f"no_{name}" in typed}


def guarded(command: Callable[[], Any]) -> int:
    """Run a command; its exit code.

    0, 2 for a user's mistake said in one line, 130 for Ctrl-C, 143 for a SIGTERM that stopped training, 141 for a
    closed pipe. None of these prints a traceback. Output is UTF-8, whatever the locale says: a text may hold any
    character.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = int(command() or 0)
        sys.stdout.flush()
        return code
    except Stopped as stop:  # the run has said so
        return stop.exit_code
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has read enough (``| head``); the interpreter's own flush at exit must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE


def take(args: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """The value of option ``name``, None if it was not typed, and the arguments without it.

    Raises:
        InputError: the option stands there without a value.
    """
    for i, arg in enumerate(args):
        if arg == name:
            if i + 1 == len(args) or args[i + 1].startswith("--"):
                raise InputError(f"{name} needs a value")
            return args[i + 1], [*args[:i], *args[i + 2 :]]
        if arg.startswith(f"{name}="):
            return arg.partition("=")[2], [*args[:i], *args[i + 1 :]]
    return None, list(args)


def _spell_out_flags(args: Sequence[str], names: list[str]) -> list[str]:
    """Turn ``--lower-case`` and ``--no-lower-case`` of a flag with three values into what tyro reads."""
    options = {f"--{name.replace('_', '-')}": name for name in names}
    spelled: list[str] = []
    for arg in args:
        if arg in options:
            spelled += [arg, "True"]
        elif arg.replace("--no-", "--", 1) in options:
            spelled += [arg.replace("--no-", "--", 1), "False"]
        else:
            spelled.append(arg)
    return spelled


def _one_line(printed: str) -> str:
    """The message in a box that tyro drew: the text between its title and the rule or blank line after it."""
    lines = [line.strip(_BOX) for line in printed.splitlines()]
    words: list[str] = []
    for line in lines[1:]:
        if line.strip("-"):
            words.append(line)
        elif words:
            break
    return " ".join(" ".join(words).split()) or "the command line cannot be read"
