"""Readers of saved models, checkpoints of the original, training checkpoints and runs."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from hardening.fuzz.cases import Case, Files, Reader, read_case
from hardening.fuzz.text_readers import TYPES, tiny_tokenizer
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.corpora.labels import labels_of
from hybridner.model.learner import TrainingState
from hybridner.model.twins import Backend
from hybridner.model.weights import initial_weights
from hybridner.runs.checkpoints import newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.saved.original import OriginalOptions, open_original, save_original

_CHECKSUMS = "checksums.json"


def _model() -> SavedModel:
    tokenizer, labels = tiny_tokenizer(), labels_of(TYPES)
    config = original_model(
        vocab_size=tokenizer.vocab_size, num_labels=len(labels), hidden_size=4, num_heads=2, num_encoder_layers=1
    )
    return SavedModel(config, labels, tokenizer, initial_weights(config, 1), {"data": "sample", "seed": 1})


def read_model(folder: Path) -> object:
    """Open a model folder."""
    model = open_model(folder)
    return model.tokenizer is None, sorted(model.provenance)


def read_original(folder: Path) -> object:
    """Open a checkpoint of the original."""
    options = OriginalOptions(num_heads=2, labels=folder / "labels.txt", tokenizer=str(folder / "vocab.txt"))
    return len(open_original(folder / "model.pth", options)[1])


def read_state(folder: Path, backend: Backend) -> object:
    """Read the newest training checkpoint."""
    restored = newest_state(backend, folder / "checkpoints")
    return restored is not None and len(restored.notes)


def read_run(folder: Path) -> object:
    """Read the options and the metrics of a run."""
    run = RunDir(folder)
    options, backend = run.read_options()
    return [options.model.preset, backend, sorted({str(record["event"]) for record in run.records()})]


def _weights(folder: Path) -> Iterator[Case]:
    # A tokenizer.json and Orbax's arrays are left to the libraries that read them.
    save_model(folder / "model", dataclasses.replace(_model(), tokenizer=None))
    case = read_case("model", folder / "model")
    yield case
    header = json.loads(case.files["config.json"])
    del header["weights_sha256"]  # the format allows its absence
    yield Case("model", {**case.files, "config.json": json.dumps(header).encode()})


def _original(folder: Path) -> Iterator[Case]:
    import torch

    model = _model()
    path = folder / "model.pth"
    save_original(path, model)
    state = torch.load(path, weights_only=True)
    assert model.tokenizer is not None, "the model was made with one"
    pieces = json.loads(model.tokenizer.to_json())["model"]["vocab"]
    beside = {
        "labels.txt": "".join(f"{label}\n" for label in model.labels).encode(),
        "vocab.txt": "".join(f"{piece}\n" for piece in sorted(pieces, key=pieces.__getitem__)).encode(),
    }
    yield Case("original", {"model.pth": path.read_bytes(), **beside})
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    yield Case("original", {"model.pth": path.read_bytes(), **beside})


def _checkpoints(folder: Path) -> Iterator[Case]:
    model = _model()
    moments = {name: np.zeros_like(value) for name, value in model.weights.items()}
    state = TrainingState(model.weights, moments, moments, step=3, average=model.weights)
    backends: tuple[Backend, ...] = ("torch", "flax")
    for backend in backends:
        store = open_checkpoints(backend, folder / backend / "checkpoints")
        store.save(state, model.config, {"best": None, "epoch": 1})
        store.close()
        yield read_case(backend, folder / backend)
    run = RunDir(folder / "run")
    run.create(make_options(), "torch")
    run.append({"event": "step", "step": 1, "loss": 2.5})
    run.append({"event": "epoch", "epoch": 1, "step": 1, "train_loss": 2.5, "valid": {"f1": 0.5}})
    yield read_case("run", run.folder)


def sum_up(files: Files, rng: Random) -> Files:
    """Usually correct the checksums of a training checkpoint after changes to its other files."""
    for name in [name for name in files if name.endswith(_CHECKSUMS)]:
        top = name.removesuffix(_CHECKSUMS)
        if rng.random() < 0.2:
            continue
        sums = {
            other.removeprefix(top): {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for other, content in files.items()
            if other.startswith(top) and other != name
        }
        files = {**files, name: json.dumps(sums).encode()}
    return files


READERS: tuple[Reader, ...] = (
    Reader("weights", {"model": read_model}, _weights),
    Reader("pth", {"original": read_original}, _original),
    Reader(
        "checkpoints",
        {"torch": partial(read_state, backend="torch"), "flax": partial(read_state, backend="flax"), "run": read_run},
        _checkpoints,
        {"torch": sum_up},
    ),
)
