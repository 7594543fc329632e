"""How much a file or a model may ask of the machine, checked before it is given.

A config of a hundred bytes can ask for a model of a terabyte. What a model takes is counted in closed form, from the
tensors of one layer and of two, whatever number of layers, positions or pieces the config names.
"""

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybridner.config import ModelConfig
from hybridner.errors import InputError

ALLOW_LARGE = "HYBRIDNER_ALLOW_LARGE"
LARGEST_JSON = 2**24
"""Bytes of a config.json and the like: 16 MiB are more than 100,000 labels, and take a tenth of a second to read."""
LARGEST_TOKENIZER = 2**28
"""Bytes of a tokenizer.json or vocab.txt: 256 MiB, some 15 times those of the largest vocabularies in use."""
_IN_USE, _IN_TRAINING = 1, 4  # copies of the weights: with their gradient and the two moments of Adam
_FLOAT32, _FLOAT64 = 4, 8


def read_text(path: Path, most: int) -> str:
    """The text of a file of at most ``most`` bytes, in UTF-8, a byte order mark left out.

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
    """The JSON object in a file of at most ``most`` bytes.

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


def bytes_needed(config: ModelConfig, *, training: bool = False) -> int:
    """Bytes that a model takes in float32, without its activations, however large its config.

    They are those of its weights (in training four times: gradient and both moments), of the position table in float64,
    which has a row for each of ``max_length`` positions, and of the table of which label may follow which.
    """
    # Not before: numpy comes with it, and starts threads, while options are read by what is above.
    from hybridner.weights import weight_shapes

    one, two = (
        sum(math.prod(shape) for shape in weight_shapes(replace(config, num_encoder_layers=layers)).values())
        for layers in (1, 2)
    )
    parameters = one + (config.num_encoder_layers - 1) * (two - one)
    copies = _IN_TRAINING if training else _IN_USE
    positions = config.max_length * config.hidden_size
    return copies * _FLOAT32 * parameters + _FLOAT64 * positions + config.num_labels**2


def check_fits(config: ModelConfig, where: str, *, training: bool = False) -> None:
    """Check that a model is not larger than the machine's memory, unless the user insists.

    Args:
        config: the model.
        where: what asks for it, for the message.
        training: whether it is to be trained.

    Raises:
        InputError: it is larger.
    """
    needed, there = bytes_needed(config, training=training), physical_memory()
    if there is None or needed <= there or os.environ.get(ALLOW_LARGE) == "1":
        return
    raise InputError(
        f"{where}: asks for a model of {_size(needed)}{' in training' if training else ''}, and this machine has "
        f"{_size(there)} of memory; if it is meant to be that large, set {ALLOW_LARGE}=1"
    )


def physical_memory() -> int | None:
    """Bytes of memory that the machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None


def _size(number: int) -> str:
    most = 2**70  # beyond it a number may be too large for a float, or have more digits than Python writes
    return f"{number / 2**30:,.1f} GiB" if number < most else "more than 2^70 bytes"
