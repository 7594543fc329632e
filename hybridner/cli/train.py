"""``hybridner train``, ``train_flax.py`` and ``train_torch.py``."""

import dataclasses
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
from cyclopts import Group, Parameter

from hybridner.cli.examples import examples
from hybridner.cli.parse import call, guarded, new_app
from hybridner.config.file import read_config
from hybridner.config.options import FIELDS, TYPES, Options
from hybridner.config.presets import PRESETS
from hybridner.errors import InputError
from hybridner.model.twins import Backend, choose_backend
from hybridner.runs.run_dir import RunDir
from hybridner.training.allocator import gains_by_keeping, keep_freed_memory

_PATHS = ("data", "tokenizer")
"""Options whose value is a path or a name: the shell completes file names."""
_GROUPS = {
    group.name: Group(group.name.capitalize(), sort_key=n) for n, group in enumerate(dataclasses.fields(Options))
}


def main(backend: Backend) -> None:
    """Run ``train_flax.py`` or ``train_torch.py`` and exit."""
    prog = f"train_{backend}.py"
    app = new_app(prog, default_command=train, help_epilogue=examples(prog), version_flags=())
    sys.exit(guarded(lambda: call(app, ["--backend", backend, *sys.argv[1:]])))


def train(
    *,
    backend: Annotated[Backend | None, Parameter(group=_GROUPS["devices"])] = None,
    config: Annotated[Path | None, Parameter(group=_GROUPS["run"])] = None,
    dry_run: Annotated[bool, Parameter(group=_GROUPS["run"])] = False,
    **options: Any,
) -> None:
    """Train a named-entity tagger; without any option, one for the sample corpus in about a minute.

    Args:
        backend: flax or torch; by default the one that is installed, Flax first.
        config: A TOML or YAML file with any of these options; the command line overrides it.
        dry_run: Prepare the run and time some steps of each shape, then report how long it would take; write nothing.
        **options: The options that were typed, and only those.
    """
    made, values, named = read_config(config, **options)
    chosen = choose_backend(backend or named)
    if gains_by_keeping(chosen, _resumed(made)):
        keep_freed_memory()
    # Import this after mallopt: it loads libraries that start threads, and these would keep their arenas.
    from hybridner.training.dry_run import rehearse
    from hybridner.training.train import run_training

    (rehearse if dry_run else run_training)(chosen, made, set(values))


def _resumed(options: Options) -> Options:
    """Read the options of the run to resume; if there is none, return ``options``."""
    if options.run.resume and options.run.output is not None:
        with suppress(InputError):
            return RunDir(options.run.output).read_options()[0]
    return options


def _parameters() -> Iterator[inspect.Parameter]:
    """Make a parameter of each training option, with its group, help and default."""
    for group in dataclasses.fields(Options):
        for option in docstring_parser.parse_from_object(group.type).params:  # type: ignore[arg-type]
            name = option.arg_name
            hint, default = TYPES[name] | Path if name in _PATHS else TYPES[name], FIELDS[name].default
            negative = f"--no-{name.replace('_', '-')}" if hint in (bool, bool | None) and default is not False else ()
            shown, of_group = _shown_default(name), _GROUPS[group.name]
            about = Parameter(group=of_group, help=option.description, show_default=shown, negative=negative)
            annotated = {"annotation": Annotated[hint, about], "default": default}
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, **annotated)


def _shown_default(name: str) -> str | bool:
    """Return the default for the user's data, and the one for the sample corpus if it differs."""
    default = FIELDS[name].default
    if default is None or default is False or default == "":
        return False
    sample = PRESETS["tiny"].get(name, default)
    return str(default) if sample == default else f"{default}; for the sample corpus {sample}"


_own = [one for one in inspect.signature(train).parameters.values() if one.name != "options"]
train.__signature__ = inspect.Signature([*_parameters(), *_own])  # type: ignore[attr-defined]
