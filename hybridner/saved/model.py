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
    """A model with everything that its use needs.

    Attributes:
        config: sizes and parts.
        labels: names of the classes, in the order of the logits.
        tokenizer: None if the source had none.
        weights: canonical, float32 or float64; empty in a tagger, whose predictor has them.
        provenance: data, seed, step, scores, versions.
        where: the file or folder that it was read from, for messages.
    """

    config: ModelConfig
    labels: tuple[str, ...]
    tokenizer: WordTokenizer | Vocabulary | None
    weights: Weights
    provenance: dict[str, Any] = field(default_factory=dict)
    where: str = "model"


def model_config(values: Any, where: Path) -> ModelConfig:
    """Make a config from the ``values`` read from ``where``, in the nested form or the flat one of format version 1.

    Keys that format version 2 did not have get their defaults: what models of that version compute.

    Raises:
        InputError: a key is missing or unknown, or no model can have its value.
    """
    is_flat = isinstance(values, dict) and "vocab_size" in values
    try:
        return _build("model", values, original_model if is_flat else ModelConfig)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _build(key: str, values: Any, make: Any) -> Any:
    """Call ``make``, a dataclass or function, with ``values``: its parameters, each of its type."""
    if not isinstance(values, dict):
        raise InputError(f"{key!r} is missing or not an object")
    types = {name: expected for name, expected in get_type_hints(make).items() if name != "return"}
    if unknown := values.keys() - types.keys():
        raise InputError(f"unknown key '{key}.{min(unknown)}'")
    if missing := {name for name in types.keys() - values.keys() if f"{key}.{name}" not in _SINCE_VERSION_3}:
        raise InputError(f"key '{key}.{min(missing)}' is missing")
    return make(**{name: _value(f"{key}.{name}", value, types[name]) for name, value in values.items()})


def _value(key: str, value: Any, expected: Any) -> Any:
    if isinstance(expected, UnionType):
        choices = [one for one in get_args(expected) if one is not NoneType]
        if value is None and len(choices) < len(get_args(expected)):
            return None
        expected = _choice(key, value, choices) if len(choices) > 1 else choices[0]
    if is_dataclass(expected):
        return _build(key, value, expected)
    if get_origin(expected) is Literal:
        if value not in get_args(expected):
            raise InputError(f"{key!r} is {value!r}, expected {' or '.join(map(repr, get_args(expected)))}")
    elif get_origin(expected) is tuple:
        return _pairs(key, value)
    elif type(value) is not expected and not (expected is float and type(value) is int):
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
        isinstance(pair, list | tuple) and len(pair) == 2 and all(type(number) is int for number in pair)
        for pair in value
    ):
        raise InputError(f"{key!r} is {value!r}, expected a list of pairs of whole numbers")
    return tuple((first, second) for first, second in value)
