"""Memory that malloc keeps in the process: a training step reuses its buffers without page faults."""

import ctypes
import importlib.util
import os
import sys

from hybridner.config.options import Options

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
# Largest buffer that an arena other than the first serves (HEAP_MAX_SIZE); glibc maps and unmaps larger ones each time.
_ARENA_BYTES = 2**26
# A compiled step of the preset ``original`` uses 243 MB: 31 numbers for each piece, layer and unit.
_BYTES_PER_UNIT = 31 * 4
_PIECES_PER_SENTENCE = 20


def gains_by_keeping(backend: str, options: Options) -> bool:
    """Decide whether :func:`keep_freed_memory` makes training faster with the ``backend``, "flax" or "torch".

    It does with PyTorch. XLA allocates all buffers of a step at once, in another thread: a step of the preset
    ``original`` outgrows that thread's arena, and one arena for all threads saves a fifth of its time. A smaller step
    gains nothing, and compiling becomes slower, because the threads wait for each other at that arena.
    """
    if backend == "torch":
        return True
    if options.devices.device != "cpu" and any(map(importlib.util.find_spec, ("jax_plugins", "libtpu"))):
        return False
    pieces = options.optimization.batch_size * _PIECES_PER_SENTENCE / options.devices.accumulate
    return pieces * options.model.num_encoder_layers * options.model.hidden_size * _BYTES_PER_UNIT > _ARENA_BYTES


def keep_freed_memory() -> bool:
    """Make glibc's malloc serve large buffers from one heap, and keep freed ones; return whether it does.

    By default malloc maps and unmaps a buffer above some megabytes each time, and each page of it faults at its first
    touch. The user's ``MALLOC_…`` or ``GLIBC_TUNABLES`` win. Call this before threads start: each keeps its arena.
    """
    if not sys.platform.startswith("linux") or any(
        name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ
    ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # -1: never trim. mallopt takes an int, and a run soon frees more than 2 GiB.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_ARENA_MAX, 1))
    return mallopt is not None and all(mallopt(option, value) == 1 for option, value in settings)
