"""Models and runs from one form to another; weights and moments stay the same bits."""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from hybridner.config.checks import nearest
from hybridner.config.model import LSTMConfig, ModelConfig
from hybridner.errors import InputError
from hybridner.files.paths import check_links
from hybridner.files.whole import written_whole
from hybridner.model.twins import Backend, choose_backend
from hybridner.model.weights import num_parameters, weight_shapes
from hybridner.runs.checkpoints import Restored, newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.folder import save_model
from hybridner.saved.model import model_config
from hybridner.saved.open import ORIGINAL_SUFFIX, find_model, open_model
from hybridner.saved.original import OriginalOptions, open_original, save_original

Target = Literal["flax", "torch", "original"]
TARGETS: tuple[Target, ...] = ("flax", "torch", "original")
_OTHERS_DEVICE = {"flax": "mps", "torch": "tpu"}


def convert(source: str | Path, destination: Path, target: str, options: OriginalOptions | None = None) -> list[str]:
    """Convert ``source`` to another form, whole or not at all.

    A run becomes a run of either backend, to be resumed where it is: options, metrics, best model and the newest
    training state, with both Adam moments. A model becomes a model folder. "original" makes one
    ``.pth`` file of a model or of a run's best.

    Args:
        source: a run, a model folder, or a checkpoint of the original, ``NAME.pth``.
        destination: the folder or file to write; it must not exist yet.
        target: "flax" (a model's weights as an Orbax checkpoint for plain Flax code), "torch" (as safetensors) or
            "original".
        options: what a ``.pth`` does not hold.

    Returns:
        Sentences for the user: the first says what was done, the rest what else there is to know.

    Raises:
        InputError: the source is not usable, the destination is taken or cannot be written, or a framework that is
            needed is not installed.
    """
    source, options = Path(source), options or OriginalOptions()
    form = next((name for name in TARGETS if name == target), None)
    if form is None:
        raise InputError(f"--to {target!r}: no such form{nearest(target, list(TARGETS))}")
    if destination.exists():
        raise InputError(f"{destination}: is there already; choose another destination or remove it")
    is_pth = destination.suffix == ORIGINAL_SUFFIX
    if form == "original" and not is_pth:
        raise InputError(f"{destination}: --to original writes one file; give it a name that ends in {ORIGINAL_SUFFIX}")
    if form != "original" and is_pth:
        raise InputError(f"{destination}: --to {form} writes a folder; for a {ORIGINAL_SUFFIX} file use --to original")
    if (given := options.given()) and (source.suffix != ORIGINAL_SUFFIX or source.is_dir()):
        raise InputError(f"{source}: not a {ORIGINAL_SUFFIX} file, and {', '.join(given)} belongs to such a file")
    if form != "original" and RunDir(source).holds_run():
        return _convert_run(RunDir(source), destination, form)
    found = find_model(source)
    model, notes = open_original(found, options) if found.is_file() else (open_model(found), [])
    notes += _not_finite(model.weights)
    written = model.config
    if form == "original":
        notes += save_original(destination, model)
        written = dataclasses.replace(written, lstm=LSTMConfig())
    else:
        save_model(destination, model, form)
    return [f"{source} → {destination} ({form}): {_size(written, twice=form == 'original')}", *notes]


def _convert_run(run: RunDir, destination: Path, backend: Backend) -> list[str]:
    check_links(run.folder)
    options, begun_with = run.read_options()
    source = _needed(run, begun_with)
    _needed(run, backend)
    best = next((f for f in (run.best, run.best.with_name("best.old")) if (f / "config.json").is_file()), None)
    if best is not None:
        open_model(best)  # a damaged one is not handed on
    state, progress, notes = _newest_state(run, source)
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
        for old, copy in ((run.metrics, new.metrics), (run.curves, new.curves), (run.tokenizer, new.tokenizer)):
            if old.exists():
                shutil.copyfile(old, copy)
        for folder, copy in ((run.tensorboard, new.tensorboard), (best, new.best)):
            if folder is not None and folder.is_dir():
                shutil.copytree(folder, copy)
        checkpoints = open_checkpoints(backend, new.checkpoints)
        try:
            checkpoints.save(state, progress)
        finally:
            checkpoints.close()
    return [
        f"{run.folder} ({source}) → {destination} ({backend}): run at step {state.step:,} with both Adam moments; "
        f"{_size(model_config(progress['model'], run.checkpoints))}",
        f"resume with: python train_{backend}.py --output {destination} --resume",
        *notes,
    ]


def _needed(run: RunDir, backend: str) -> Backend:
    try:
        return choose_backend(backend)
    except InputError as error:
        raise InputError(f"{run.folder}: a run is moved with its own framework and the other one; {error}") from error


def _newest_state(run: RunDir, backend: Backend) -> Restored:
    newest = newest_state(backend, run.checkpoints)
    if newest is None:
        raise InputError(
            f"{run.folder}: a run without a checkpoint yet, its first epoch has not ended; convert it when it has one"
        )
    size = newest.progress.get("progress", {}).get("metrics_bytes")
    if run.metrics.exists() and not (isinstance(size, int) and size <= run.metrics.stat().st_size):
        at = newest.state.step
        raise InputError(f"{run.metrics}: shorter than the {size} bytes it had at step {at}; lines were lost")
    return newest


def _size(config: ModelConfig, twice: bool = False) -> str:
    """Size in words; ``twice`` if the embedding stands under two names."""
    return f"{len(weight_shapes(config)) + twice} tensors, {num_parameters(config):,} parameters"


def _not_finite(weights: Mapping[str, np.ndarray]) -> list[str]:
    counts = {name: value.size - int(np.isfinite(value).sum()) for name, value in weights.items()}
    names = [name for name, count in counts.items() if count]
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"{sum(counts.values()):,} weights are infinite or not a number, in {names[0]!r}{more}; they stay so"]
