"""Training options from a TOML or YAML file."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from hybridner.config.checks import typed
from hybridner.config.options import Options, names_with
from hybridner.config.presets import checked, make_options
from hybridner.errors import InputError
from hybridner.files.reading import read_text

_LARGEST = 2**15  # bytes: all options take 2,000, and the parsers' time may grow with the square of a file


class Config(NamedTuple):
    """Options from a file and from the user.

    Attributes:
        options: all options.
        values: those that the file or the user set, by name.
        backend: the backend that the file names, or None.
    """

    options: Options
    values: dict[str, Any]
    backend: str | None


def read_config(path: Path | None, /, **given: Any) -> Config:
    """Make options from the file ``path``, if it is not None, and from ``given``, which overrides it.

    A name that ends in ``.yaml`` or ``.yml`` is YAML, any other TOML. A run's own ``config.toml`` repeats the run.

    Raises:
        InputError: the file does not exist or cannot be parsed, an option does not exist (the message names the
            nearest), or a value has another type or is out of its range.
    """
    values = {} if path is None else _parse(path)
    given, where = checked(given), "" if path is None else f"{path}: "
    try:
        backend = typed("backend", values.pop("backend"), str) if "backend" in values else None
        values = checked(values)
        where = f"{path} with the options given: " if path is not None and given else where
        values |= given
        return Config(make_options(**values), values, backend)
    except InputError as error:
        raise InputError(f"{where}{error}") from error


def options_as_dict(options: Options) -> dict[str, Any]:
    """Return options as plain values for a file or a checkpoint, without those that are None or belong to one call."""
    call = names_with("not kept")
    return {name: value for name, value in options.flat().items() if value is not None and name not in call}


def _parse(path: Path) -> dict[str, Any]:
    text = read_text(path, _LARGEST)
    return _parse_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _parse_toml(path, text)


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: a number of too many digits
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _parse_yaml(path: Path, text: str) -> dict[str, Any]:
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 as PyYAML reads it, except that 3e-4 is a number."""

    number = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        values = yaml.load(text, Loader) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        # PyYAML raises these for a value that does not fit its tag, such as "!!int x".
        raise InputError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected lines such as 'epochs: 10', not a list or a single value")
    return values
