"""A saved model in memory."""

from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hybridner.config.model import ModelConfig, original_model
from hybridner.errors import InputError
from hybridner.files.tensors import Weights
from hybridner.text.tokenizer import WordTokenizer
from hybridner.text.vocabulary import Vocabulary

_SINCE_VERSION_3 = {
    *(f"model.encoder.{name}" for name in ("norm", "relative_distance", "dropout", "attention_dropout")),
    *(f"model.lstm.{name}" for name in ("hidden_size", "input_dropout", "joins_input")),
}


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
    tokenizer: WordTokenizer | Vocabulary | None
    weights: Weights
    provenance: dict[str, Any] = field(default_factory=dict)
    where: str = "model"


def model_config(values: Any, where: Path) -> ModelConfig:
    """Make a config from what was read from ``where``, in the nested form or the flat one of format version 1.

    Keys that format version 2 did not have get their defaults: what models of that version compute.

    Raises:
        InputError: a key is missing, unknown, or its value is not one a model can have.
    """
    try:
        if isinstance(values, dict) and "vocab_size" in values:
            return original_model(**_checked("model", values, get_type_hints(original_model)))
        return _read("model", values, ModelConfig)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _read(key: str, values: Any, kind: Any) -> Any:
    """Make a dataclass of ``kind``, and those of its fields, from nested dicts."""
    if not isinstance(values, dict):
        raise InputError(f"{key!r} is missing or not an object")
    return kind(**_checked(key, values, get_type_hints(kind)))


def _checked(key: str, values: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    """Check that ``values`` has the keys of ``types``, and each value its type."""
    types = {name: expected for name, expected in types.items() if name != "return"}
    for name in values:
        if name not in types:
            raise InputError(f"unknown key '{key}.{name}'")
    for name in types:
        if name not in values and f"{key}.{name}" not in _SINCE_VERSION_3:
            raise InputError(f"key '{key}.{name}' is missing")
    return {name: _value(f"{key}.{name}", values[name], types[name]) for name in values}


def _value(key: str, value: Any, expected: Any) -> Any:
    if isinstance(expected, UnionType):
        choices = [one for one in get_args(expected) if one is not NoneType]
        if value is None and len(choices) < len(get_args(expected)):
            return None
        expected = _choice(key, value, choices) if len(choices) > 1 else choices[0]
    if is_dataclass(expected):
        return _read(key, value, expected)
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            raise InputError(f"{key!r} is {value!r}, expected {' or '.join(map(repr, get_args(expected)))}")
        return value
    if get_origin(expected) is tuple:
        return _pairs(key, value)
    if type(value) is not expected and not (expected is float and type(value) is int):
        raise InputError(f"{key!r} is {value!r}, expected {expected.__name__}")
    return value


def _choice(key: str, value: Any, parts: list[Any]) -> Any:
    """Choose the part whose ``kind`` the value names."""
    kinds = {get_args(get_type_hints(part)["kind"])[0]: part for part in parts}
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in kinds:
        raise InputError(f"'{key}.kind' is {kind!r}, expected {' or '.join(map(repr, kinds))}")
    return kinds[kind]


def _pairs(key: str, value: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and all(type(number) is int for number in pair) for pair in value
    ):
        raise InputError(f"{key!r} is {value!r}, expected a list of pairs of whole numbers")
    return tuple((first, second) for first, second in value)
