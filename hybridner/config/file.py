"""Training options from a TOML or YAML file, each checked against the type of its field."""

import reprlib
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybridner.config.checks import nearest
from hybridner.config.options import (
    DataOptions,
    DeviceOptions,
    ModelOptions,
    OptimizationOptions,
    Options,
    RunOptions,
    names_with,
)
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.files.reading import read_text

YAML_SUFFIXES = (".yaml", ".yml")
_LARGEST = 2**15  # bytes: all options take 2,000, and the parsers' time may grow with the square of a file
_LARGEST_NUMBER = 2**63
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 100


def read_config(path: Path) -> dict[str, Any]:
    """The options that a file sets, by name, and "backend" if it stands there.

    A name ending in ``.yaml`` or ``.yml`` is YAML, any other TOML. A run's own ``config.toml`` repeats the run.

    Raises:
        InputError: the file is not there or cannot be parsed, an option does not exist (the message names the
            nearest), or a value is of another type or out of its range.
    """
    text = read_text(path, _LARGEST)
    values = _parse_yaml(path, text) if path.suffix.lower() in YAML_SUFFIXES else _parse_toml(path, text)
    try:
        values = checked_types(values)
        make_options(**{name: value for name, value in values.items() if name != "backend"})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return values


def checked_types(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of options, "backend" among them, as the types that the options have: a path may come as text.

    Raises:
        InputError: an option does not exist, or its value is of another type.
    """
    groups = (DataOptions, ModelOptions, OptimizationOptions, RunOptions, DeviceOptions)
    expected: dict[str, Any] = {"backend": str}
    for group in groups:
        expected.update(typing.get_type_hints(group))
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in expected:
            raise InputError(f"unknown option {name!r}{nearest(str(name), list(expected))}")
        try:
            checked[name] = _typed(value, expected[name])
        except TypeError as error:
            raise InputError(f"{name} must be {error}, not {_shown(value)}") from None
    return checked


def options_as_dict(options: Options) -> dict[str, Any]:
    """Options as plain values that a file or a checkpoint can hold; what is None is left out."""
    call = names_with("not kept")
    return {name: value for name, value in options.flat().items() if value is not None and name not in call}


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number of too many digits
        raise InputError(f"{path}: not TOML that can be read: {error}") from error


def _parse_yaml(path: Path, text: str) -> dict[str, Any]:
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 as PyYAML reads it, but 3e-4 is a number, and a key that stands twice an error."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key, _ in node.value:
                if isinstance(key.value, str) and key.value in keys:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} stands here a second time", problem_mark=key.start_mark
                    )
                keys.update([key.value] if isinstance(key.value, str) else [])
            return super().construct_mapping(node, deep)

    number = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        values = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: not YAML that can be read: {getattr(error, 'problem', error)}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # What PyYAML makes of a value that is not of the tag it bears, such as "!!int x".
        raise InputError(f"{path}: not YAML that can be read: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines such as 'epochs: 10', found {_shown(values)}")
    return values


def _typed(value: Any, expected: Any) -> Any:
    """``value`` as the type that a field has.

    Raises:
        TypeError: it has another; the message says which are expected.
    """
    members = typing.get_args(expected) if _is_union(expected) else (expected,)
    for member in members:
        if typing.get_origin(member) is typing.Literal:
            if any(value == choice and type(value) is type(choice) for choice in typing.get_args(member)):
                return value
        elif member is Path and isinstance(value, str | Path):
            return Path(value)
        elif type(value) is int and abs(value) >= _LARGEST_NUMBER:
            continue
        elif member is float and type(value) in (int, float):
            return float(value)
        elif type(value) is member:
            return value
    raise TypeError(" or ".join(_kind(member) for member in members if member is not types.NoneType))


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _kind(member: Any) -> str:
    if typing.get_origin(member) is typing.Literal:
        return " or ".join(str(choice) for choice in typing.get_args(member))
    return _KINDS.get(member, str(member))


def _shown(value: Any) -> str:
    """A value in few words: aliases of YAML can nest one in itself, or make its ``repr`` of exponential length."""
    if isinstance(value, bool):
        return str(value).lower()
    if type(value) is int and abs(value) >= _LARGEST_NUMBER:
        return "a number beyond 2^63"
    try:
        shown = _REPR.repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        shown = "a list or table with a number beyond 2^63"
    return shown if len(shown) <= 40 else f"{shown[:37]}…"
