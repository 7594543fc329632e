"""Command lines: parsing, one-line messages for mistakes, and exit codes."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hybridner.errors import InputError
from hybridner.training.signals import Stopped

if TYPE_CHECKING:
    from cyclopts import App, ArgumentCollection

USER_ERROR = 2
INTERRUPTED = 130
CLOSED_PIPE = 141


def new_app(*names: str, **values: Any) -> "App":
    """Make a command line with plain help texts; a flag has no ``--no-`` form unless it asks for one."""
    from cyclopts import App, Parameter

    plain = Parameter(negative=())
    # guarded() handles Ctrl-C.
    return App(names, help_format="plaintext", default_parameter=plain, suppress_keyboard_interrupt=False, **values)


def call(app: "App", args: Sequence[str]) -> int:
    """Run the command that ``args`` name, and return its exit code, or 0 if it returns none.

    Raises:
        InputError: the command or an option does not exist (the message names the nearest), or a value does not fit.
    """
    import cyclopts
    from rich.console import Console

    class Pipe(Console):
        """A console that leaves a closed pipe to :func:`guarded`."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    app.config = (_check_whole_numbers,)
    how: dict[str, Any] = {"exit_on_error": False, "print_error": False, "result_action": "return_value"}
    try:
        return app(_join_dashes(args), console=Pipe(), **how) or 0
    except cyclopts.UnusedCliTokensError as error:
        raise InputError(f"unexpected argument {(error.unused_tokens or [''])[0]!r}; options begin with --") from None
    except cyclopts.CycloptsError as error:
        error.verbose = False
        raise InputError(str(error)) from None


def _join_dashes(args: Sequence[str]) -> list[str]:
    """Turn ``--json -`` into ``--json=-``: "-" is the standard input or output, not the start of an option."""
    joined: list[str] = []
    for arg in args:
        if arg == "-" and joined and joined[-1].startswith("--") and len(joined[-1]) > 2:
            joined[-1] += "=-"
        else:
            joined.append(arg)
    return joined


def _check_whole_numbers(app: "App", commands: tuple[str, ...], arguments: "ArgumentCollection") -> None:
    """Refuse 2.5 for an option that is a whole number: the parser would round it."""
    for argument in arguments:
        for token in argument.tokens:
            if argument.hint in (int, int | None) and "." in token.value:
                raise InputError(f"{argument.name} must be a whole number, not {token.value!r}")


def guarded(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code, without a traceback.

    The code is 0, 2 for a user's mistake, which one line reports, 130 for Ctrl-C, 143 for a SIGTERM that stopped
    training, or 141 for a closed pipe. Output is UTF-8 in any locale: a text may contain any character.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = int(command() or 0)
        sys.stdout.flush()
        return code
    except Stopped as stop:  # the run has reported it
        return stop.exit_code
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe (``| head``): the interpreter's flush at exit must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
