"""Keeping freed memory in the process, so that a training step does not fetch its buffers from the kernel each time."""

import ctypes
import importlib.util
import os
import sys

from hybridner.config.options import Options

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
# mallopt takes an int, and 2 GiB of free memory is soon reached: minus one is never.
_NEVER = -1
# What an arena other than the first can hold at most (HEAP_MAX_SIZE); more than that it maps and unmaps each time.
_ARENA_BYTES = 2**26
# A compiled step of the preset ``original`` holds 243 MB: 31 numbers for each piece, layer and unit of it.
_BYTES_PER_UNIT = 31 * 4
_PIECES_PER_SENTENCE = 20
_ACCELERATORS = ("jax_plugins", "libtpu")


def gains_by_keeping(backend: str, options: Options) -> bool:
    """Whether training is faster with :func:`keep_freed_memory`.

    PyTorch's always is. XLA allocates the buffers of a whole step at once, from a thread of its own: where that is
    more than such a thread's arena can hold, keeping it in the one arena is a fifth of the time of a step of the preset
    ``original``. Where it is less, nothing is gained, and the threads that compile and compute wait for each other at
    that arena: a first run of the preset ``tiny`` takes a third longer. On an accelerator only that loss is left.

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
    """Make glibc's malloc serve large buffers from the heap and never give freed ones back to the kernel.

    By default a buffer above some megabytes is mapped and unmapped each time, and every page of it is a page fault
    at its first touch: 66,000 faults a step of the preset ``original`` with XLA on a CPU, a fifth of its time. The
    process keeps the most memory it ever held. What the user has set through ``MALLOC_…`` or ``GLIBC_TUNABLES``
    stays. Elsewhere than on Linux with glibc nothing is done. Call it before threads are started: those that have an
    arena of their own already go on with it.

    Returns:
        Whether it was done.
    """
    if not sys.platform.startswith("linux") or "GLIBC_TUNABLES" in os.environ:
        return False
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(
        mallopt(option, value) == 1
        for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_ARENA_MAX, 1))
    )
