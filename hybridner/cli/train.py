"""``hybridner train``, ``train_flax.py`` and ``train_torch.py``."""

import sys

from hybridner.cli.parse import given_options, guarded, parse, take
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
    backend, args = take(args, "--backend")
    data, preset = take(args, "--data")[0], take(args, "--preset")[0]
    # These two decide the other options' defaults, which the command line then overrides.
    defaults = training_config(preset, **({"data": data} if data else {}))
    options = parse(TrainingConfig, args, prog, defaults)
    from hybridner.training import run_training

    run_training(choose_backend(backend), options, given_options(TrainingConfig, args))
    return 0
