"""What a saved model is on disk: ``config.json``, ``tokenizer.json``, the weights and a card.

The weights are canonical, in ``model.safetensors``, which either twin opens with one framework installed; or, for
plain Flax code, in the Orbax folder ``model.orbax``. Nothing in the folder holds a time, so the same run twice
writes the same bytes.
"""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hybridner.card import card
from hybridner.config import ModelConfig
from hybridner.data.labels import check_labels
from hybridner.data.tokenizer import WordTokenizer, load_tokenizer
from hybridner.errors import InputError
from hybridner.hub import fetch_model, is_repository
from hybridner.weights import Weights, check_weights

FORMAT_VERSION = 1
ORIGINAL_SUFFIX = ".pth"
_SAFETENSORS, _ORBAX = "model.safetensors", "model.orbax"
Form = Literal["torch", "flax"]


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model with all that is needed to use it.

    Attributes:
        config: sizes and parts.
        labels: names of the classes, in the order of the logits.
        tokenizer: words to pieces; None if the source had none.
        weights: canonical, float32 or float64.
        provenance: where it came from: data, seed, step, scores, versions.
        where: what it was read from, for messages.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: WordTokenizer | None
    weights: Weights
    provenance: dict[str, Any] = field(default_factory=dict)
    where: str = "model"


def save_model(folder: Path, model: SavedModel, form: Form = "torch") -> None:
    """Write a model folder, whole or not at all; one that is there is replaced.

    Args:
        folder: where to.
        model: what to save.
        form: weights in ``model.safetensors`` ("torch") or in Orbax form ("flax").

    Raises:
        InputError: the folder cannot be written, or Flax, which Orbax form needs, is not installed.
    """
    with written_whole(folder) as partial:
        partial.mkdir()
        if form == "flax":
            from hybridner.twins import checkpoint_module

            checkpoint_module("flax").save_weights(partial / _ORBAX, model.weights)
        else:
            save_file(model.weights, partial / _SAFETENSORS)
        if model.tokenizer is not None:
            model.tokenizer.save(partial / "tokenizer.json")
        header = {
            "format": "hybridner",
            "format_version": FORMAT_VERSION,
            "model": dataclasses.asdict(model.config),
            "labels": list(model.labels),
            "provenance": model.provenance,
        }
        (partial / "config.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(card(model), encoding="utf-8")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder at, which then takes the place of ``path``.

    What a process that was killed left there is removed first; after an error it is removed at once.

    Raises:
        InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        _remove(partial)
        partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        replace_folder(partial, path)
    except BaseException as error:
        _remove(partial)
        if isinstance(error, (OSError, SafetensorError)):
            raise InputError(f"{path}: cannot be written ({error})") from error
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def replace_folder(partial: Path, folder: Path) -> None:
    """Put ``partial`` in the place of ``folder``; a reader sees one or the other."""
    if not folder.is_dir():
        partial.replace(folder)  # a NAME.old that is here is not ours
        return
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def find_model(source: str | Path) -> Path:
    """The model folder that ``source``, a run or a model folder, means; the original's ``.pth`` means itself.

    What is not here and reads as OWNER/NAME is fetched from the Hugging Face Hub, and that is said; but not if there is
    a folder OWNER, for then it is a slip of the pen.

    Raises:
        InputError: there is none.
    """
    path = Path(source)
    if not path.exists() and not path.parent.exists() and is_repository(str(source)):
        print(f"{source}: not here; asking the Hugging Face Hub", file=sys.stderr)
        return fetch_model(str(source))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give a run, a model folder or a .pth file")
    if path.is_file():
        if path.suffix == ORIGINAL_SUFFIX:
            return path
        raise InputError(f"{path}: a file; expected a run, a model folder or a checkpoint of the original, NAME.pth")
    for folder in (path / "best", path, path / "best.old"):  # the last: stopped between two renames
        if (folder / "config.json").is_file():
            return folder
    if (path / "config.toml").is_file():
        raise InputError(f"{path}: a run without a saved model yet; its first epoch has not ended")
    raise InputError(f"{path}: neither a run nor a model folder (no config.json in it)")


def open_model(source: str | Path) -> SavedModel:
    """Read a run's best model, a model folder, or the original's ``.pth``.

    A ``.pth`` is taken to have what the original has: 4 heads and, if there are nine classes, its labels. It has no
    tokenizer. :func:`hybridner.original.open_original` takes other values.

    Raises:
        InputError: a file is missing or damaged, or its parts do not belong together; the message names it.
    """
    folder = find_model(source)
    if folder.is_file():
        from hybridner.original import OriginalOptions, open_original

        return open_original(folder, OriginalOptions())[0]
    where = folder / "config.json"
    header = _read_json(where)
    if header.get("format") != "hybridner" or header.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{where}: not a model folder of format version {FORMAT_VERSION}")
    config = model_config(header.get("model"), where)
    labels = header.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where}: 'labels' is not a list of strings")
    check_labels(labels, str(where))
    if len(labels) != config.num_labels:
        raise InputError(f"{where}: {len(labels)} labels for num_labels {config.num_labels}")
    tokenizer = None
    if (folder / "tokenizer.json").is_file():
        tokenizer = load_tokenizer(str(folder / "tokenizer.json"))
        if tokenizer.vocab_size > config.vocab_size:
            raise InputError(
                f"{folder}/tokenizer.json: {tokenizer.vocab_size} pieces for vocab_size {config.vocab_size}"
            )
    weights = _read_weights(folder)
    check_weights(config, weights, str(folder), ("float32", "float64"))
    provenance = header.get("provenance")
    return SavedModel(
        config,
        tuple(labels),
        tokenizer,
        weights,
        provenance if isinstance(provenance, dict) else {},
        str(folder),
    )


def _read_weights(folder: Path) -> Weights:
    if (folder / _SAFETENSORS).is_file():
        try:
            return load_file(folder / _SAFETENSORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(f"{folder / _SAFETENSORS}: cannot be read ({error})") from error
    if (folder / _ORBAX).is_dir():
        from hybridner.twins import checkpoint_module, installed

        if "flax" not in installed():
            raise InputError(
                f"{folder}: weights in Orbax form need Flax; pip install 'hybridner[flax]', "
                "or convert the model with --to torch where Flax is"
            )
        return checkpoint_module("flax").read_weights(folder / _ORBAX)
    raise InputError(f"{folder}: no weights (neither {_SAFETENSORS} nor {_ORBAX})")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object")
    return value


def model_config(values: Any, where: Path) -> ModelConfig:
    """A config from what was read from ``where``.

    Raises:
        InputError: a key is missing, unknown, or its value is not one a model can have.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: 'model' is missing or not an object")
    types = get_type_hints(ModelConfig)
    for name, value in values.items():
        if name not in types:
            raise InputError(f"{where}: unknown key 'model.{name}'")
        fits = type(value) is types[name] or (types[name] is float and type(value) is int)
        if not fits:
            raise InputError(f"{where}: 'model.{name}' is {value!r}, expected {types[name].__name__}")
    for name in types:
        if name not in values:
            raise InputError(f"{where}: key 'model.{name}' is missing")
    try:
        return ModelConfig(**values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
