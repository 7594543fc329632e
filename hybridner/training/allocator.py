"""Memory that malloc keeps in the process, so that a training step reuses its buffers without page faults."""

import ctypes
import importlib.util
import os
import sys

from hybridner.config.options import Options

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_NEVER = -1  # mallopt takes an int, and 2 GiB of free memory is soon reached
# The most that an arena other than the first serves (HEAP_MAX_SIZE); glibc maps and unmaps larger buffers each time.
_ARENA_BYTES = 2**26
# A compiled step of the preset ``original`` takes 243 MB: 31 numbers for each piece, layer and unit.
_BYTES_PER_UNIT = 31 * 4
_PIECES_PER_SENTENCE = 20
_ACCELERATORS = ("jax_plugins", "libtpu")


def gains_by_keeping(backend: str, options: Options) -> bool:
    """Decide whether :func:`keep_freed_memory` makes training faster.

    With PyTorch it does. XLA allocates a whole step's buffers at once, from a thread of its own: a step of the preset
    ``original`` outgrows that thread's arena and takes a fifth less time with the one arena. A smaller step gains
    nothing, and compiling becomes slower, because the threads wait for each other at that arena.

    Args:
        backend: "flax" or "torch".
        options: sizes of the model and the batch, and the device asked for.
    """
    if backend == "torch":
        return True
    if options.devices.device != "cpu" and any(importlib.util.find_spec(name) for name in _ACCELERATORS):
        return False
    pieces = options.optimization.batch_size * _PIECES_PER_SENTENCE / options.devices.accumulate
    return pieces * options.model.num_encoder_layers * options.model.hidden_size * _BYTES_PER_UNIT > _ARENA_BYTES


def keep_freed_memory() -> bool:
    """Make glibc's malloc serve large buffers from one heap, and keep freed ones.

    By default malloc maps and unmaps a buffer above some megabytes each time, and each page of it faults at its first
    touch. Settings of the user's in ``MALLOC_…`` or ``GLIBC_TUNABLES`` win. Call this before threads start: each keeps
    the arena it has.

    Returns:
        True if it was done; never on anything but Linux with glibc.
    """
    if not sys.platform.startswith("linux") or "GLIBC_TUNABLES" in os.environ:
        return False
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_ARENA_MAX, 1))
    return all(mallopt(option, value) == 1 for option, value in settings)
