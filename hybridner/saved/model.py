"""A saved model in memory."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.files.tensors import Weights
from hybridner.text.tokenizer import WordTokenizer


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A model with all that is needed to use it.

    Attributes:
        config: sizes and parts.
        labels: names of the classes, in the order of the logits.
        tokenizer: words to pieces; None if the source had none.
        weights: canonical, float32 or float64; empty in a tagger's, whose predictor holds them.
        provenance: where it came from: data, seed, step, scores, versions.
        where: what it was read from, for messages.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: WordTokenizer | None
    weights: Weights
    provenance: dict[str, Any] = field(default_factory=dict)
    where: str = "model"


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
