"""``hybridner train``, ``train_flax.py`` and ``train_torch.py``."""

import sys
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridner.cli.parse import given_options, guarded, parse, take
from hybridner.config.options import FIELDS, Options
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.model.twins import choose_backend
from hybridner.runs.run_dir import RunDir
from hybridner.training.allocator import gains_by_keeping, keep_freed_memory

if TYPE_CHECKING:
    from hybridner.model.twins import Backend


@dataclass(frozen=True)
class TrainOptions(Options):
    """Train a named-entity tagger; without any option, one for the sample corpus in about a minute."""

    config: Path | None = None
    """A TOML or YAML file with any of these options; the command line comes before it."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""
    dry_run: bool = False
    """Do all up to training, and some steps of each shape to say how long it would take; write nothing."""


def main(backend: "Backend") -> None:
    """Run ``train_flax.py`` or ``train_torch.py`` and exit."""
    sys.exit(guarded(lambda: run(["--backend", backend, *sys.argv[1:]], prog=f"train_{backend}.py")))


def run(args: list[str], prog: str = "hybridner train") -> int:
    """Train from the command line.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    backend, args = take(args, "--backend")
    file, args = take(args, "--config")
    # These two decide the other options' defaults, which the command line then overrides.
    chosen = {name: value for name in ("data", "preset") if (value := take(args, f"--{name}")[0])}
    values = _from_file(file)
    backend = backend or values.pop("backend", None)
    values.pop("backend", None)
    defaults = TrainOptions(**vars(make_options(**{**values, **chosen})))
    typed = parse(TrainOptions, args, prog, defaults)
    if typed.backend is not None:
        raise InputError(f"--backend {typed.backend}: the backend is chosen already; leave it out")
    explicit = given_options(FIELDS, args) | set(values)
    options = Options(**{field.name: getattr(typed, field.name) for field in fields(Options)})
    twin = choose_backend(backend)
    if gains_by_keeping(twin, _begun_with(options)):
        keep_freed_memory()
    # Not before: it loads libraries that start threads, and those would have arenas of their own.
    from hybridner.training.train import run_training

    if typed.dry_run:
        from hybridner.training.dry_run import rehearse

        rehearse(twin, options, explicit)
    else:
        run_training(twin, options, explicit)
    return 0


def _begun_with(options: Options) -> Options:
    """The options of the run that goes on; where there is none, or none that can be read, those given."""
    if options.run.resume and options.run.output is not None:
        with suppress(InputError):
            return RunDir(options.run.output).read_options()[0]
    return options


def _from_file(file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    from hybridner.config.file import read_config

    return read_config(Path(file))
