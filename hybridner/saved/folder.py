"""A saved model on disk: ``config.json``, ``tokenizer.json``, the weights, a card, and the vectors of words if any.

The canonical weights are in ``model.safetensors``, which either backend opens, or, for plain Flax code, in the Orbax
folder ``model.orbax``. ``config.json`` contains their digest, the same for both forms. No file contains a time, so the
same run twice writes the same bytes.

A folder may come from a stranger: no link may lead out of it, no code in it is run, and we check sizes before we
allocate memory.
"""

import dataclasses
import json
from pathlib import Path
from typing import Literal

from hybridner.config.model import ModelConfig, PiecesInput, WordsInput
from hybridner.corpora.labels import check_labels
from hybridner.errors import InputError
from hybridner.files.hub import VECTORS
from hybridner.files.paths import check_links, inside
from hybridner.files.reading import read_json
from hybridner.files.tensors import Headers, Weights, digest, read_tensors, write_tensors
from hybridner.files.whole import written_whole
from hybridner.model.size import check_fits
from hybridner.model.twins import checkpoint_module, installed
from hybridner.model.weights import check_weights
from hybridner.saved.card import card
from hybridner.saved.model import SavedModel, model_config
from hybridner.saved.vectors import open_vectors, save_vectors
from hybridner.text.tokenizer import WordTokenizer
from hybridner.text.vectors import WordVectors
from hybridner.text.vocabulary import Vocabulary, load_saved

FORMAT_VERSION = 3
"""Version 1 listed the sizes of the original's model in one flat object; version 2 had fewer keys."""
_SAFETENSORS, _ORBAX = "model.safetensors", "model.orbax"
Form = Literal["torch", "flax"]


def save_model(folder: Path, model: SavedModel, form: Form = "torch", *, parents: bool = True) -> None:
    """Write a model folder, or replace the one that exists, whole or not at all.

    The weights are in ``model.safetensors`` ("torch") or in Orbax form ("flax"). We create missing ``parents``.

    Raises:
        InputError: the folder cannot be written, or Flax, which Orbax form needs, is not installed.
    """
    header = {
        "format": "hybridner",
        "format_version": FORMAT_VERSION,
        "model": dataclasses.asdict(model.config),
        "labels": list(model.labels),
        "weights_sha256": digest(model.weights),
        "provenance": model.provenance,
    }
    with written_whole(folder, parents=parents) as partial:
        partial.mkdir()
        if form == "flax":
            checkpoint_module("flax").save_weights(partial / _ORBAX, model.config, model.weights)
        else:
            write_tensors(partial / _SAFETENSORS, model.weights)
        if model.tokenizer is not None:
            model.tokenizer.save(partial / "tokenizer.json")
        if isinstance(model.tokenizer, Vocabulary) and model.tokenizer.vectors is not None:
            save_vectors(partial / VECTORS, model.tokenizer.vectors)
        (partial / "config.json").write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(card(model), encoding="utf-8")


def read_folder(folder: Path) -> SavedModel:
    """Read a model folder.

    Raises:
        InputError: a file is missing or damaged, or its parts do not belong together; the message names it.
    """
    where = inside(folder, "config.json")
    header = read_json(where)
    if header.get("format") != "hybridner" or header.get("format_version") not in range(1, FORMAT_VERSION + 1):
        raise InputError(f"{where}: not a model folder of format version 1 to {FORMAT_VERSION}")
    config = model_config(header.get("model"), where)
    check_fits(config, str(where))
    labels = header.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where}: 'labels' is not a list of strings")
    check_labels(labels, str(where))
    if len(labels) != config.num_labels:
        raise InputError(f"{where}: {len(labels)} labels for num_labels {config.num_labels}")
    tokenizer = None
    if (path := inside(folder, "tokenizer.json")).is_file():
        tokenizer = load_saved(path)
        if isinstance(tokenizer, Vocabulary):
            tokenizer.vectors = find_vectors(folder)
        _check_input(tokenizer, config, path)
    weights = _read_weights(folder, config)
    if "weights_sha256" in header and header["weights_sha256"] != digest(weights):
        raise InputError(
            f"{folder}: the weights are not those that were saved with {where.name} (their SHA-256 differs); copy the "
            "whole folder again from its source"
        )
    provenance = header.get("provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    return SavedModel(config, tuple(labels), tokenizer, weights, provenance, str(folder))


def find_vectors(folder: Path) -> WordVectors | None:
    """Map the vectors of a model folder, if it has any.

    Raises:
        InputError: the file is damaged, or a link that leads out of the folder.
    """
    path = inside(folder, VECTORS)
    return open_vectors(path) if path.is_file() else None


def _check_input(tokenizer: WordTokenizer | Vocabulary, config: ModelConfig, where: Path) -> None:
    """Check that the model has a row for each piece, or for each word, shape and character, and its vectors."""
    reads = tokenizer.model_input(config.input.max_length)
    if isinstance(reads, PiecesInput) and isinstance(config.input, PiecesInput):
        if reads.vocab_size > config.input.vocab_size:
            raise InputError(f"{where}: {reads.vocab_size} pieces for vocab_size {config.input.vocab_size}")
        return
    if reads.kind != config.input.kind:
        raise InputError(f"{where}: {reads.kind} for a model that reads {config.input.kind}")
    needs_vectors = isinstance(config.input, WordsInput) and config.input.vector_size > 0
    if needs_vectors and isinstance(reads, WordsInput) and reads.vector_size == 0:
        raise InputError(f"{where.with_name(VECTORS)}: is missing; copy the whole folder again from its source")
    for name in ("num_words", "num_shapes", "num_characters", "affix_rows", "max_characters", "vector_size"):
        if getattr(reads, name) != getattr(config.input, name):
            raise InputError(
                f"{where}: {name} is {getattr(reads, name)}, but {getattr(config.input, name)} in the model"
            )


def _read_weights(folder: Path, config: ModelConfig) -> Weights:
    def check(headers: Headers) -> None:
        check_weights(config, headers, str(folder), ("float32", "float64"))

    if inside(folder, _SAFETENSORS).is_file():
        return read_tensors(folder / _SAFETENSORS, check)
    if inside(folder, _ORBAX).is_dir():
        check_links(folder, _ORBAX)
        if "flax" not in installed():
            raise InputError(
                f"{folder}: weights in Orbax form need Flax; pip install 'hybridner[flax]', "
                "or convert the model with --to torch where Flax is installed"
            )
        return checkpoint_module("flax").read_weights(folder / _ORBAX, check)
    raise InputError(f"{folder}: no weights (neither {_SAFETENSORS} nor {_ORBAX})")
