"""The original HybridNER's checkpoint: a PyTorch ``state_dict`` in a ``.pth`` file, its layout and what it lacks.

It contains only tensors: the canonical ones (``hybridner.model.weights``) in float32, the embedding under two names,
and those of the LSTM even if the model does not use it. The shapes give all sizes but the number of heads. Heads,
labels and tokenizer come from :class:`OriginalOptions`; 1,024 positions, pad piece 0 and dropout 0.1 from the
original's code.

The original computes its position table in float32, up to 6e-5 from the float64 one that both backends round (at
position 1,023). So the logits of an imported model differ from the original's own by about 2e-7 on short sentences.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridner.config.model import LSTMConfig, ModelConfig, PiecesInput, is_original, original_model
from hybridner.corpora.labels import labels_of, read_labels
from hybridner.errors import InputError
from hybridner.files.tensors import Weights
from hybridner.files.whole import written_whole
from hybridner.model.parts import EMBEDDING
from hybridner.model.size import check_fits
from hybridner.model.twins import original_module
from hybridner.model.weights import check_weights, initial_weights
from hybridner.saved.model import SavedModel
from hybridner.text.tokenizer import WordTokenizer, load_tokenizer
from hybridner.version import __version__

ENCODER_EMBEDDING = "transformer_encoder.encoder.embed_tokens.weight"
LABELS = labels_of(("PER", "ORG", "LOC", "MISC"))
_NUM_HEADS, _MAX_LENGTH = 4, 1024
_CLASSIFIER = "classifier.weight"
_LAYERS = "transformer_encoder.encoder.layers."


@dataclass(frozen=True, slots=True)
class OriginalOptions:
    """Facts that a checkpoint of the original leaves out.

    Attributes:
        num_heads: attention heads; 4 if None.
        labels: a file with the names of the classes, one per line in the order of the classifier; if None and there
            are nine classes, those of the original.
        tokenizer: a ``vocab.txt``, a ``tokenizer.json`` or a Hub id; none if None.
        use_lstm: whether the model uses its LSTM.
    """

    num_heads: int | None = None
    labels: Path | None = None
    tokenizer: str | None = None
    use_lstm: bool = True

    def given(self) -> list[str]:
        """List the options that differ from the defaults, as a user types them."""
        names = {"num_heads": "--num-heads", "labels": "--labels", "tokenizer": "--tokenizer", "use_lstm": "--no-lstm"}
        return [option for name, option in names.items() if getattr(self, name) != getattr(OriginalOptions(), name)]


def open_original(path: Path, options: OriginalOptions) -> tuple[SavedModel, list[str]]:
    """Read a checkpoint of the original, a ``.pth`` file, with ``options``; no code in it is run.

    Returns:
        The model, and sentences for the user about what was assumed or left out.

    Raises:
        InputError: PyTorch is not installed; the file is damaged, another model's, or contains more than tensors; the
            options do not fit it.
    """
    weights = from_state_dict(_with_torch(path).read_state_dict(path), str(path))
    config = _config(weights, options, path)
    check_weights(config, weights, str(path))
    notes = []
    if not options.use_lstm:
        config = dataclasses.replace(config, lstm=None)
        kept = {name: value for name, value in weights.items() if not name.startswith("lstm.")}
        notes.append(f"--no-lstm: the file's {len(weights) - len(kept)} tensors of the LSTM are left out")
        weights = kept
    labels, tokenizer = _labels(config, options, path), _tokenizer(config, options, path)
    assumed = [f"{_NUM_HEADS} attention heads (--num-heads)"] if options.num_heads is None else []
    if options.labels is None:
        assumed.append(f"the labels {', '.join(labels)} (--labels)")
    assumed.append(f"inputs of at most {_MAX_LENGTH:,} pieces")
    notes.append(f"assumed as in the original, because the file does not contain them: {' and '.join(assumed)}")
    if tokenizer is None:
        notes.append("without a tokenizer: to tag text, convert with --tokenizer FILE")
    provenance = {"imported_from": path.name, "hybridner": __version__}
    return SavedModel(config, labels, tokenizer, weights, provenance, str(path)), notes


def save_original(path: Path, model: SavedModel) -> list[str]:
    """Write ``model`` as a checkpoint of the original, a ``.pth`` file, whole or not at all.

    If the model has no LSTM, we add an untrained one, because the original always has its tensors.

    Returns:
        Sentences for the user about what was added, rounded, or is not in the file.

    Raises:
        InputError: the original cannot express the model, PyTorch is not installed, or the file cannot be written.
    """
    torch_file = _with_torch(path)
    if not is_original(model.config):
        raise InputError(
            f"{model.where}: the original's form has no place for this model's activation, positions, LayerNorm "
            "epsilon or feed-forward size; convert it --to flax or torch"
        )
    weights, notes = dict(model.weights), []
    if model.config.lstm is None:
        weights = initial_weights(dataclasses.replace(model.config, lstm=LSTMConfig()), seed=0) | weights
        added = len(weights) - len(model.weights)
        notes.append(f"the original always has an LSTM: {added} untrained tensors of one (seed 0) were added")
    if wide := [name for name, value in weights.items() if value.dtype != np.float32]:
        with np.errstate(over="ignore"):
            rounded = {name: weights[name].astype(np.float32) for name in wide}
        lost = sum(int(np.isinf(rounded[name]).sum() - np.isinf(weights[name]).sum()) for name in wide)
        weights |= rounded
        notes.append(
            f"{len(wide)} float64 tensors were rounded to the original's float32: not bit for bit"
            + (f", and {lost:,} of their numbers, too large for it, became infinite" if lost else "")
        )
    read_back = {
        f"--num-heads {model.config.encoder.num_heads}": model.config.encoder.num_heads != _NUM_HEADS,
        "--labels FILE": model.labels != LABELS,
        "--no-lstm": model.config.lstm is None,
        "--tokenizer FILE": True,
    }
    needed = " ".join(option for option, is_needed in read_back.items() if is_needed)
    notes.append(f"the file contains only weights; to read it back: {needed}")
    with written_whole(path) as partial:
        torch_file.write_state_dict(partial, to_state_dict(weights))
    return notes


def from_state_dict(tensors: Mapping[str, np.ndarray], where: str) -> Weights:
    """Make canonical weights from the original's tensors: the embedding once.

    Raises:
        InputError: the classifier is missing, or the embedding under one of its names, or the two differ in a bit.
    """
    for name in (EMBEDDING, ENCODER_EMBEDDING, _CLASSIFIER):
        if name not in tensors:
            first = f", such as {next(iter(tensors))!r}" if tensors else ""
            raise InputError(
                f"{where}: not a checkpoint of the original HybridNER: tensor {name!r} is missing "
                f"(it contains {len(tensors)} tensors{first})"
            )
    one, other = tensors[EMBEDDING], tensors[ENCODER_EMBEDDING]
    if (one.shape, one.dtype) != (other.shape, other.dtype) or one.tobytes() != other.tobytes():
        raise InputError(
            f"{where}: {EMBEDDING!r} and {ENCODER_EMBEDDING!r} differ; in the original they are one tensor"
        )
    return {name: value for name, value in tensors.items() if name != ENCODER_EMBEDDING}


def to_state_dict(weights: Mapping[str, np.ndarray]) -> Weights:
    """Make the original's tensors from canonical weights; one array is the embedding under both names."""
    return {EMBEDDING: weights[EMBEDDING], ENCODER_EMBEDDING: weights[EMBEDDING], **weights}


def _with_torch(path: Path) -> Any:
    """Load the module that reads and writes ``path``."""
    try:
        return original_module()
    except InputError as error:
        raise InputError(f"{path}: a .pth file is read and written with PyTorch; {error}") from error


def _config(weights: Weights, options: OriginalOptions, path: Path) -> ModelConfig:
    """Infer the sizes from two shapes and the layers' names; :func:`check_weights` compares all shapes with them."""
    for name in (EMBEDDING, _CLASSIFIER):
        if weights[name].ndim != 2:
            raise InputError(f"{path}: tensor {name!r} has shape {weights[name].shape}, expected two dimensions")
    vocab_size, hidden_size = weights[EMBEDDING].shape
    num_heads = _NUM_HEADS if options.num_heads is None else options.num_heads
    if num_heads < 1 or hidden_size % num_heads:
        raise InputError(
            f"{path}: hidden size {hidden_size} is not divisible by {num_heads} attention heads; "
            "give the model's number with --num-heads"
        )
    layers = {name.removeprefix(_LAYERS).partition(".")[0] for name in weights if name.startswith(_LAYERS)}
    try:
        config = original_model(
            vocab_size=vocab_size,
            num_labels=len(weights[_CLASSIFIER]),
            hidden_size=hidden_size,
            num_heads=num_heads,
            num_encoder_layers=len(layers),
            max_length=_MAX_LENGTH,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    check_fits(config, str(path))
    return config


def _labels(config: ModelConfig, options: OriginalOptions, path: Path) -> tuple[str, ...]:
    if options.labels is not None:
        labels = read_labels(options.labels)
        if len(labels) != config.num_labels:
            raise InputError(f"{options.labels}: {len(labels)} labels for the {config.num_labels} classes of {path}")
        return labels
    if config.num_labels != len(LABELS):
        raise InputError(
            f"{path}: has {config.num_labels} classes and no names for them (the original has {len(LABELS)}); "
            "convert it with --labels FILE, one label per line in the order of the classifier"
        )
    return LABELS


def _tokenizer(config: ModelConfig, options: OriginalOptions, path: Path) -> WordTokenizer | None:
    if options.tokenizer is None:
        return None
    tokenizer = load_tokenizer(options.tokenizer)
    assert isinstance(config.input, PiecesInput)
    if tokenizer.vocab_size != config.input.vocab_size:
        raise InputError(
            f"{options.tokenizer}: {tokenizer.vocab_size} pieces for the {config.input.vocab_size} rows of the "
            f"embedding in {path}; give the vocabulary the model was trained with"
        )
    return tokenizer
