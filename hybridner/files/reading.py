"""Text and JSON files read up to a size limit."""

import json
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

_DEEPEST = 100  # far from where comparing, hashing or writing a value again would exhaust the stack
LARGEST_JSON = 2**24  # bytes of a config.json: room for 100,000 labels, read in a tenth of a second
LARGEST_TOKENIZER = 2**28  # bytes of a tokenizer.json or vocab.txt: some 15 times the largest vocabularies in use


def read_text(path: Path, most: int) -> str:
    """Read a UTF-8 file of at most ``most`` bytes, without its byte order mark.

    Raises:
        InputError: it is longer, is not UTF-8, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
            raise InputError(f"{path}: longer than {size}, the limit for such a file")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error


def read_json(path: Path, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Read the JSON object in a file of at most ``most`` bytes.

    Raises:
        InputError: it is longer, contains no JSON object, nests too deep, or cannot be read.
    """
    return parse_object(read_text(path, most), str(path))


def parse_object(text: str, where: str, keys: str = "") -> dict[str, Any]:
    """Parse a JSON object; ``keys``, such as " with 'text'", completes the message that asks for one.

    Raises:
        InputError: the text is something else, or nests too deep.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); expected an object{keys}") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object{keys}")
    if text.count("[") + text.count("{") > _DEEPEST and _nests(value, _DEEPEST):
        raise InputError(f"{where}: nests more than {_DEEPEST} deep; expected an object{keys}")
    return value


def _nests(value: Any, levels: int) -> bool:
    """Check whether lists and objects nest more than ``levels`` deep."""
    if not isinstance(value, (list, dict)):
        return False
    items = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_nests(item, levels - 1) for item in items)
