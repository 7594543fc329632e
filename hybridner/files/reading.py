"""Text and JSON files read up to a size limit."""

import json
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

LARGEST_JSON = 2**24
"""Bytes of a config.json and the like: 16 MiB are more than 100,000 labels, and take a tenth of a second to read."""


LARGEST_TOKENIZER = 2**28
"""Bytes of a tokenizer.json or vocab.txt: 256 MiB, some 15 times those of the largest vocabularies in use."""


def read_text(path: Path, most: int) -> str:
    """Read a UTF-8 file of at most ``most`` bytes, without its byte order mark.

    Raises:
        InputError: it is longer, is not UTF-8, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > most:
        size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
        raise InputError(f"{path}: longer than {size}, which no such file is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error


def read_json(path: Path, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Read the JSON object in a file of at most ``most`` bytes.

    Raises:
        InputError: it is longer, holds no JSON object, nests too deep to be read, or cannot be read.
    """
    text = read_text(path, most)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object")
    return value
