"""``hybridner train``, ``train_flax.py`` and ``train_torch.py``."""

import sys

from hybridner.cli.parse import given_options, guarded, parse
from hybridner.config import TrainingConfig, training_config
from hybridner.twins import Backend, choose_backend


def main(backend: Backend) -> None:
    """Run ``train_flax.py`` or ``train_torch.py`` and exit."""
    sys.exit(guarded(lambda: run(["--backend", backend, *sys.argv[1:]], prog=f"train_{backend}.py")))


def run(args: list[str], prog: str = "hybridner train") -> int:
    """Train from the command line.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    backend, args = _take(args, "--backend")
    data, preset = _take(args, "--data")[0], _take(args, "--preset")[0]
    # These two decide the other options' defaults, which the command line then overrides.
    defaults = training_config(preset, **({"data": data} if data else {}))
    options = parse(TrainingConfig, args, prog, defaults)
    from hybridner.training import run_training

    run_training(choose_backend(backend), options, given_options(TrainingConfig, args))
    return 0


def _take(args: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of option ``name`` and the arguments without it."""
    for i, arg in enumerate(args):
        if arg == name and i + 1 < len(args):
            return args[i + 1], args[:i] + args[i + 2 :]
        if arg.startswith(f"{name}="):
            return arg.partition("=")[2], args[:i] + args[i + 1 :]
    return None, args
