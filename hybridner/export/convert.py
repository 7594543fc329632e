"""Models and runs from one form to another; weights and moments stay the same bits."""

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal

import numpy as np

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.files.paths import check_links
from hybridner.files.whole import written_whole
from hybridner.model.twins import Backend, choose_backend
from hybridner.model.weights import num_parameters, weight_shapes
from hybridner.runs.checkpoints import newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.folder import save_model
from hybridner.saved.model import model_config
from hybridner.saved.open import ORIGINAL_SUFFIX, find_model, open_model
from hybridner.saved.original import OriginalOptions, open_original, save_original

Target = Literal["flax", "torch", "original"]
_OTHERS_DEVICE = {"flax": "mps", "torch": "tpu"}


def convert(source: str | Path, destination: Path, target: Target, options: OriginalOptions | None = None) -> list[str]:
    """Convert ``source`` to another form, whole or not at all.

    With "flax" or "torch", a run becomes a run that this backend resumes: options, metrics, best model and the newest
    training state, with both Adam moments; a model becomes a model folder, with Orbax or safetensors weights. With
    "original", a model or a run's best becomes one ``.pth`` file. The source may be such a file itself; ``options`` are
    the facts that it leaves out.

    Returns:
        Sentences for the user: a summary, then what else there is to know.

    Raises:
        InputError: the source is not usable, the destination exists or cannot be written, or a framework that is
            needed is not installed.
    """
    source, options = Path(source), options or OriginalOptions()
    if destination.exists():
        raise InputError(f"{destination}: is there already; choose another destination or remove it")
    if (target == "original") != (destination.suffix == ORIGINAL_SUFFIX):
        raise InputError(
            f"{destination}: --to original writes a file NAME{ORIGINAL_SUFFIX}, --to flax and --to torch write a folder"
        )
    if (given := options.given()) and (source.suffix != ORIGINAL_SUFFIX or source.is_dir()):
        raise InputError(f"{source}: not a {ORIGINAL_SUFFIX} file, and {', '.join(given)} belongs to such a file")
    if target != "original" and RunDir(source).holds_run():
        return _convert_run(RunDir(source), destination, target)
    found = find_model(source)
    model, notes = open_original(found, options) if found.is_file() else (open_model(found), [])
    notes += _not_finite(model.weights)
    if target == "original":
        notes += save_original(destination, model)
    else:
        save_model(destination, model, target)
    return [f"{source} → {destination} ({target}): {_size(model.config)}", *notes]


def _convert_run(run: RunDir, destination: Path, backend: Backend) -> list[str]:
    check_links(run.folder)
    options, trained_with = run.read_options()
    try:
        source, _ = choose_backend(trained_with), choose_backend(backend)
    except InputError as error:
        raise InputError(f"{run.folder}: a run is moved with its own framework and the other one; {error}") from error
    best = next((f for f in (run.best, run.best.with_name("best.old")) if (f / "config.json").is_file()), None)
    if best is not None:
        open_model(best)  # do not copy a damaged one
    newest = newest_state(source, run.checkpoints)
    if newest is None:
        raise InputError(
            f"{run.folder}: a run without a checkpoint yet, its first epoch has not ended; convert it when it has one"
        )
    state, progress, notes = newest
    config = model_config(progress["model"], run.checkpoints)
    notes += _not_finite(state.weights)
    if options.devices.device == _OTHERS_DEVICE[backend]:
        notes.append(f"device {options.devices.device} is not one of {backend}'s and became auto")
        options = options.replace(device="auto")
    if backend == "torch" and options.devices.parallel in ("pmap", "mesh"):
        notes.append(f"parallel {options.devices.parallel} is Flax's and became auto")
        options = options.replace(parallel="auto")
    with written_whole(destination) as partial:
        new = RunDir(partial)
        new.create(options, backend)
        for file in (run.metrics, run.curves, run.tokenizer):
            if file.exists():
                shutil.copyfile(file, partial / file.name)
        for folder, copy in ((run.tensorboard, new.tensorboard), (best, new.best)):
            if folder is not None and folder.is_dir():
                shutil.copytree(folder, copy)
        with closing(open_checkpoints(backend, new.checkpoints)) as checkpoints:
            checkpoints.save(state, config, progress)
    return [
        f"{run.folder} ({source}) → {destination} ({backend}): run at step {state.step:,} with both Adam moments; "
        f"{_size(config)}",
        f"resume with: {RunDir(destination).resume_command(backend)}",
        *notes,
    ]


def _size(config: ModelConfig) -> str:
    return f"{len(weight_shapes(config))} tensors, {num_parameters(config):,} parameters"


def _not_finite(weights: Mapping[str, np.ndarray]) -> list[str]:
    counts = {name: value.size - int(np.isfinite(value).sum()) for name, value in weights.items()}
    names = [name for name, count in counts.items() if count]
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"{sum(counts.values()):,} weights are infinite or not a number, in {names[0]!r}{more}; they stay so"]
