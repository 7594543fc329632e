"""What a saved model is on disk: ``config.json``, ``tokenizer.json``, the weights and a card.

The weights are canonical, in ``model.safetensors``, which either twin opens with one framework installed; or, for
plain Flax code, in the Orbax folder ``model.orbax``. ``config.json`` holds their digest, the same for both forms.
Nothing in the folder holds a time, so the same run twice writes the same bytes.

A folder may come from a stranger: no link leads out of it, no code in it is run, and what it asks for is checked before
memory is taken for it.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

from safetensors import SafetensorError
from safetensors.numpy import save_file

from hybridner.card import card
from hybridner.config import ModelConfig
from hybridner.data.labels import check_labels
from hybridner.data.tokenizer import WordTokenizer, load_tokenizer
from hybridner.errors import CannotWriteError, InputError
from hybridner.hub import fetch_model, is_repository
from hybridner.limits import check_fits, read_json
from hybridner.paths import check_links, inside, remove
from hybridner.tensor_file import read_tensors
from hybridner.weights import Headers, Weights, check_weights, digest

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


def save_model(folder: Path, model: SavedModel, form: Form = "torch", *, parents: bool = True) -> None:
    """Write a model folder, whole or not at all; one that is there is replaced.

    Args:
        folder: where to.
        model: what to save.
        form: weights in ``model.safetensors`` ("torch") or in Orbax form ("flax").
        parents: make the folders that it stands in.

    Raises:
        InputError: the folder cannot be written, or Flax, which Orbax form needs, is not installed.
    """
    with written_whole(folder, parents=parents) as partial:
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
            "weights_sha256": digest(model.weights),
            "provenance": model.provenance,
        }
        (partial / "config.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(card(model), encoding="utf-8")


@contextmanager
def written_whole(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder at, which then takes the place of ``path``.

    What a process that was killed left there is removed first; after an error it is removed at once.

    Raises:
        InputError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        remove(partial)
        if parents:
            partial.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        replace_folder(partial, path)
    except BaseException as error:
        remove(partial)
        if isinstance(error, (OSError, SafetensorError)):
            raise CannotWriteError(f"{path}: cannot be written ({error})") from error
        raise


def replace_folder(partial: Path, folder: Path) -> None:
    """Put ``partial`` in the place of ``folder``; a reader sees one or the other.

    Where ``folder`` is a link, the link is replaced, and what it leads to stays as it is.
    """
    if not folder.is_dir():
        partial.replace(folder)  # a NAME.old that is here is not ours
        return
    old = folder.with_name(f"{folder.name}.old")
    remove(old)
    folder.rename(old)
    partial.rename(folder)
    remove(old)


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
    for name in ("best", ".", "best.old"):  # the last: stopped between two renames
        if inside(path, f"{name}/config.json").is_file():
            return path / name
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
    where = inside(folder, "config.json")
    header = read_json(where)
    if header.get("format") != "hybridner" or header.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{where}: not a model folder of format version {FORMAT_VERSION}")
    config = model_config(header.get("model"), where)
    check_fits(config, str(where))
    labels = header.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where}: 'labels' is not a list of strings")
    check_labels(labels, str(where))
    if len(labels) != config.num_labels:
        raise InputError(f"{where}: {len(labels)} labels for num_labels {config.num_labels}")
    tokenizer = None
    if inside(folder, "tokenizer.json").is_file():
        tokenizer = load_tokenizer(str(folder / "tokenizer.json"))
        if tokenizer.vocab_size > config.vocab_size:
            raise InputError(
                f"{folder}/tokenizer.json: {tokenizer.vocab_size} pieces for vocab_size {config.vocab_size}"
            )
    weights = _read_weights(folder, config)
    if "weights_sha256" in header and header["weights_sha256"] != digest(weights):
        raise InputError(
            f"{folder}: the weights are not those that were saved with {where.name} (their SHA-256 differs); copy the "
            "whole folder again from where it comes from"
        )
    provenance = header.get("provenance")
    return SavedModel(
        config,
        tuple(labels),
        tokenizer,
        weights,
        provenance if isinstance(provenance, dict) else {},
        str(folder),
    )


def _read_weights(folder: Path, config: ModelConfig) -> Weights:
    def check(headers: Headers) -> None:
        check_weights(config, headers, str(folder), ("float32", "float64"))

    if inside(folder, _SAFETENSORS).is_file():
        return read_tensors(folder / _SAFETENSORS, check)
    if inside(folder, _ORBAX).is_dir():
        check_links(folder, _ORBAX)
        from hybridner.twins import checkpoint_module, installed

        if "flax" not in installed():
            raise InputError(
                f"{folder}: weights in Orbax form need Flax; pip install 'hybridner[flax]', "
                "or convert the model with --to torch where Flax is"
            )
        return checkpoint_module("flax").read_weights(folder / _ORBAX, check)
    raise InputError(f"{folder}: no weights (neither {_SAFETENSORS} nor {_ORBAX})")


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
