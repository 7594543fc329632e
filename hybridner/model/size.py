"""How much a file or a model may ask of the machine, checked before it is given.

A config of a hundred bytes can ask for a model of a terabyte. What a model takes is counted in closed form, from the
tensors of one layer and of two, whatever number of layers, positions or pieces the config names.
"""

import math
import os
from dataclasses import replace

import numpy as np

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.model.weights import num_parameters

ALLOW_LARGE = "HYBRIDNER_ALLOW_LARGE"
_IN_USE, _IN_TRAINING = 1, 4  # copies of the weights: with their gradient and the two moments of Adam
_FLOAT32, _FLOAT64 = 4, 8


def bytes_needed(config: ModelConfig, *, training: bool = False) -> int:
    """Bytes that a model takes in float32, without its activations, however large its config.

    They are those of its weights (in training four times: gradient and both moments), of the position table in float64,
    which has a row for each of ``max_length`` positions, and of the table of which label may follow which.
    """
    # Not before: numpy comes with it, and starts threads, while options are read by what is above.
    from hybridner.model.weights import weight_shapes

    one, two = (
        sum(math.prod(shape) for shape in weight_shapes(replace(config, num_encoder_layers=layers)).values())
        for layers in (1, 2)
    )
    parameters = one + (config.encoder.num_layers - 1) * (two - one)
    copies = _IN_TRAINING if training else _IN_USE
    positions = config.input.max_length * config.encoder.hidden_size
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


def training_flops(config: ModelConfig, lengths: np.ndarray) -> float:
    """Multiplications and additions to train once on sentences of ``lengths`` pieces, padding left out.

    Each weight of a matrix takes 2 a piece forward and 4 backward; so do, in each layer, the two products of a
    sentence's attention, with ``hidden_size`` for each pair of its pieces. The embedding is a look-up.
    """
    weights = num_parameters(config) - config.input.vocab_size * config.encoder.hidden_size
    pairs = 2 * config.encoder.num_layers * config.encoder.hidden_size * np.square(lengths).sum()
    return float(6 * (weights * lengths.sum() + pairs))
