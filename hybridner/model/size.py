"""The memory and the operations that a model takes, counted from its config."""

import math
import os

import numpy as np

from hybridner.config.model import ModelConfig
from hybridner.errors import InputError
from hybridner.model.parts import rows
from hybridner.model.weights import num_parameters

ALLOW_LARGE = "HYBRIDNER_ALLOW_LARGE"


def bytes_needed(config: ModelConfig, *, training: bool = False) -> int:
    """Count the bytes of a model in float32, without its activations.

    They are those of its weights (in training four times: with gradient and both moments), of the float64 position
    table, and of the table of allowed label transitions.
    """
    positions = config.input.max_length * config.encoder.hidden_size
    return 4 * (4 if training else 1) * num_parameters(config) + 8 * positions + config.num_labels**2


def check_fits(config: ModelConfig, where: str, *, training: bool = False) -> None:
    """Check that a model is not larger than the machine's memory, unless the user insists.

    Args:
        config: the model.
        where: the file or option that asks for it, for the message.
        training: count what training takes.

    Raises:
        InputError: it is larger.
    """
    needed, there = bytes_needed(config, training=training), physical_memory()
    if there is None or needed <= there or os.environ.get(ALLOW_LARGE) == "1":
        return
    raise InputError(
        f"{where}: asks for a model of {min(needed, 2**70) / 2**30:,.1f} GiB{' in training' if training else ''}, and "
        f"this machine has {there / 2**30:,.1f} GiB of memory; if it is meant to be that large, set {ALLOW_LARGE}=1"
    )


def physical_memory() -> int | None:
    """Return the bytes of memory of this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None


def training_flops(config: ModelConfig, lengths: np.ndarray) -> float:
    """Multiplications and additions to train once on sentences of ``lengths`` pieces, padding left out.

    Each weight of a matrix takes 2 a piece forward and 4 backward; so do, in each layer, the two products of a
    sentence's attention, with ``hidden_size`` for each pair of its pieces. The embedding is a look-up.
    """
    weights = sum(math.prod(row.shape) for row in rows(config) if row.kind != "embedding")
    pairs = 2 * config.encoder.num_layers * config.encoder.hidden_size * np.square(lengths).sum()
    return float(6 * (weights * lengths.sum() + pairs))
