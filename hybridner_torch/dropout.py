"""Dropout whose masks are a function of (seed, step, site, row): see ``hybridner.model.dropout``."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int32, UInt32
from torch import Tensor

from hybridner.model.dropout import MULTIPLIERS, drop_threshold, keep_scale, mix, site_key

_MULTIPLIERS = np.array(MULTIPLIERS, np.uint32).view(np.int32).tolist()


class DropoutStream(NamedTuple):
    """The source of one step's masks.

    Attributes:
        key: uint32 ``[2]`` from :func:`hybridner.model.dropout.step_key`.
        rows: each row's number in the global batch, ``[batch]``.
    """

    key: UInt32[np.ndarray, "2"]
    rows: Int[np.ndarray, "batch"]


def dropout(
    x: Float[Tensor, "batch ..."], rate: float, site: int, stream: DropoutStream | None
) -> Float[Tensor, "batch ..."]:
    """Drop elements of ``x`` at ``site`` and scale up the rest; return ``x`` if there is no stream."""
    if stream is None or drop_threshold(rate) == 0:
        return x
    keep = keep_mask(stream, site, tuple(x.shape[1:]), rate, x.device)
    return x * keep.to(x.dtype).mul_(keep_scale(rate))


def keep_mask(
    stream: DropoutStream, site: int, shape: tuple[int, ...], rate: float, device: torch.device
) -> Bool[Tensor, "batch ..."]:
    """Compute which elements of ``[batch, *shape]`` to keep, equal to :func:`hybridner.model.dropout.keep_mask`.

    PyTorch lacks arithmetic for uint32; int32 wraps around to the same bits.
    """
    size = math.prod(shape)
    first, second = site_key(stream.key, site)
    rows = stream.rows.astype(np.uint32)
    lane_a, lane_b = (torch.from_numpy(mix(rows + lane).view(np.int32)).to(device)[:, None] for lane in (first, second))
    words = torch.arange(-(-size // 4), dtype=torch.int32, device=device) + lane_a
    words = _mix_(_mix_(words).bitwise_xor_(lane_b))
    octets = words.view(torch.uint8)[:, :size]
    return (octets >= drop_threshold(rate)).view(len(rows), *shape)


def _mix_(x: Int32[Tensor, "..."]) -> Int32[Tensor, "..."]:
    for shift, multiplier in zip((16, 15), _MULTIPLIERS, strict=True):
        x.bitwise_xor_(_shift_right(x, shift)).mul_(multiplier)
    return x.bitwise_xor_(_shift_right(x, 15))


def _shift_right(x: Int32[Tensor, "..."], shift: int) -> Int32[Tensor, "..."]:
    # Only in PyTorch: int32 shifts copy the sign bit; the mask clears the copies.
    return x.bitwise_right_shift(shift).bitwise_and_((1 << (32 - shift)) - 1)
