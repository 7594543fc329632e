"""Dropout masks as a function of (seed, step, site, row): the same bits in numpy, JAX and PyTorch.

Each framework's own random stream differs from the other's and changes with the number of devices. Here a mask
comes from a counter-based hash in 32-bit integers, so that it depends on nothing but the seed, the step, the
place in the model and the row of the global batch: both backends drop the same elements, on any number of devices,
and a resumed run drops what it would have dropped. Hashing is also cheaper than Threefry.

The mixing function is the two-multiply 32-bit permutation "lowbias32" of Chris Wellons' hash-prospector, with the
better constants listed there (16, 0x21f0aaad, 15, 0xd35a2d97, 15; public domain). Two rounds are used, each
with a key of its own. One hash gives four elements, a byte each, so a probability is rounded to the nearest 1/256;
the scale is that of the rounded probability, so that the expectation is exact.

This module is the reference, and both backends are tested against it bit for bit.
"""

import math

import numpy as np
from jaxtyping import Bool, Int, UInt32

MULTIPLIERS = (0x21F0AAAD, 0xD35A2D97)
HEAD_SITE = 0
"""Dropout in front of the head."""
SITES_PER_LAYER = 4
INPUT_SITES, LSTM_SITES = 2**16, 2 * 2**16
"""First sites of the input and of the LSTM. Each part has a range of its own, so adding one moves no other's masks."""
SITE_STRIDE = 0x9E3779B9  # 2^32 / golden ratio: neighbouring sites land far apart
_MASK = 0xFFFFFFFF


def layer_site(layer: int) -> int:
    """Return the first of a layer's four sites: attention, its output, inside the feed-forward net, its output."""
    return 1 + SITES_PER_LAYER * layer


def drop_threshold(rate: float) -> int:
    """Bytes below this are dropped: ``rate`` in 256ths, rounded."""
    return round(rate * 256)


def keep_scale(rate: float) -> float:
    """Factor of the elements that are kept, 1 / (1 - rounded rate)."""
    return 256 / (256 - drop_threshold(rate))


def mix(x: UInt32[np.ndarray, "..."]) -> UInt32[np.ndarray, "..."]:
    """Permute the 32-bit integers so that every input bit flips every output bit half the time."""
    x = x ^ (x >> 16)
    x = x * np.uint32(MULTIPLIERS[0])
    x = x ^ (x >> 15)
    x = x * np.uint32(MULTIPLIERS[1])
    return x ^ (x >> 15)


def step_key(seed: int, step: int) -> UInt32[np.ndarray, "2"]:
    """Derive the key of one training step from ``seed`` and ``step``, each from 0 to 2^64 - 1."""
    key = np.array([1, 2], np.uint32)
    for word in (seed, seed >> 32, step, step >> 32):
        key = mix(mix(key) ^ np.uint32(word & _MASK))
    return key


def site_key(key: UInt32[np.ndarray, "2"], site: int) -> UInt32[np.ndarray, "2"]:
    """Derive the key of one place in the model."""
    return mix(key + np.uint32(site * SITE_STRIDE & _MASK))


def keep_mask(
    key: UInt32[np.ndarray, "2"],
    site: int,
    rows: Int[np.ndarray, "batch"],
    shape: tuple[int, ...],
    rate: float,
) -> Bool[np.ndarray, "batch *shape"]:
    """Choose the elements of a ``[batch, *shape]`` array to keep: the reference that both backends match bit for bit.

    Args:
        key: from :func:`step_key`.
        site: number of the place in the model.
        rows: each row's number in the global batch.
        shape: the remaining axes.
        rate: probability of dropping.
    """
    size = math.prod(shape)
    first, second = site_key(key, site)
    lane_a, lane_b = mix(rows.astype(np.uint32) + first), mix(rows.astype(np.uint32) + second)
    counter = np.arange(-(-size // 4), dtype=np.uint32)
    words = mix(mix(counter + lane_a[:, None]) ^ lane_b[:, None])
    octets = words.astype("<u4").view(np.uint8)[:, :size]
    return (octets >= drop_threshold(rate)).reshape(len(rows), *shape)
