"""Dropout whose masks are a function of (seed, step, site, row): see ``hybridner.model.dropout``."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from hybridner.model.dropout import MULTIPLIERS, SITE_STRIDE, drop_threshold, keep_scale

Site = int | UInt32[Array, ""]


class DropoutStream(NamedTuple):
    """The source of one step's masks.

    Attributes:
        key: uint32 ``[2]`` from :func:`hybridner.model.dropout.step_key`.
        rows: each row's number in the global batch, ``[batch]``.
    """

    key: UInt32[Array, "2"]
    rows: Int[Array, "batch"]


def dropout(
    x: Float[Array, "batch ..."], rate: float, site: Site, stream: DropoutStream | None
) -> Float[Array, "batch ..."]:
    """Drop elements of ``x`` at ``site`` and scale up the rest; return ``x`` if there is no stream."""
    if stream is None or drop_threshold(rate) == 0:
        return x
    keep = keep_mask(stream, site, x.shape[1:], rate)
    return jnp.where(keep, x * jnp.asarray(keep_scale(rate), x.dtype), jnp.zeros((), x.dtype))


def keep_mask(stream: DropoutStream, site: Site, shape: tuple[int, ...], rate: float) -> Bool[Array, "batch ..."]:
    """Compute which elements of ``[batch, *shape]`` to keep, equal to :func:`hybridner.model.dropout.keep_mask`."""
    size = math.prod(shape)
    first, second = _mix(stream.key + jnp.uint32(site) * jnp.uint32(SITE_STRIDE))
    rows = stream.rows.astype(jnp.uint32)
    lane_a, lane_b = _mix(rows + first), _mix(rows + second)
    counter = jnp.arange(-(-size // 4), dtype=jnp.uint32)
    words = _mix(_mix(counter + lane_a[:, None]) ^ lane_b[:, None])
    octets = lax.bitcast_convert_type(words, jnp.uint8)
    keep = octets >= jnp.uint8(drop_threshold(rate))
    return keep.reshape(len(rows), -1)[:, :size].reshape(len(rows), *shape)


def _mix(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    x = x ^ (x >> 16)
    x = x * jnp.uint32(MULTIPLIERS[0])
    x = x ^ (x >> 15)
    x = x * jnp.uint32(MULTIPLIERS[1])
    return x ^ (x >> 15)
