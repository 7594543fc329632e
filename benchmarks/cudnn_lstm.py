"""cuDNN's LSTM instead of our PyTorch scan, with the same parameters.

cuDNN cannot start a sentence within a row, so we copy each sentence out of its row into a separate sequence, and copy
the outputs back. There are two layouts: a rectangle that pads the shorter sentences, and PyTorch's packed sequence,
which contains pieces alone. On a CPU PyTorch's own LSTM computes the same calls.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybridner.batches.batch import Batch
from hybridner_torch.dropout import DropoutStream
from hybridner_torch.layers import Hidden
from hybridner_torch.lstm import LSTM

CUDNN_WITH_BFLOAT16 = 91300  # the first version with bfloat16 RNNs


class Layout(NamedTuple):
    """The positions of a batch's pieces, step by step, the longest sentence first.

    Attributes:
        pieces: the place of each piece in the concatenated rows, ``[num_pieces]``.
        places: its place in the flattened rectangle ``[longest, num_sentences]``, ``[num_pieces]``.
        shape: of the rectangle.
        at_step: sentences that have a piece at each step, ``[longest]``; PyTorch wants it on the host.
    """

    pieces: Int[Tensor, "num_pieces"]
    places: Int[Tensor, "num_pieces"]
    shape: tuple[int, int]
    at_step: Int[Tensor, "longest"]

    def to(self, device: torch.device) -> "Layout":
        """Return the layout with both places on a device."""
        return self._replace(pieces=self.pieces.to(device), places=self.places.to(device))


def layout_of(batch: Batch) -> Layout:
    """Lay out a whole batch's sentences, on the host."""
    order = np.argsort(-batch.lengths, kind="stable")
    firsts = batch.rows[order].astype(np.int64) * batch.shape.length + batch.starts[order]
    steps = np.arange(int(batch.lengths.max()))[:, None]
    inside = steps < batch.lengths[order]
    arrays = (firsts + steps)[inside], np.flatnonzero(inside), inside.sum(axis=1)
    pieces, places, at_step = (torch.from_numpy(array) for array in arrays)
    return Layout(pieces, places, (inside.shape[0], inside.shape[1]), at_step)


class CudnnLSTM(nn.Module):
    """A substitute for the ``LSTM``: the same parameter names, the same outputs at every piece, zero at padding.

    PyTorch copies the four parameters into cuDNN's one buffer in each call.

    Attributes:
        layout: of the next batch, on its device.
        computed_by: autograd's name for the operation behind the last output, and its type.
    """

    def __init__(self, lstm: LSTM, kind: Literal["rectangle", "packed"]) -> None:
        super().__init__()
        self.linear_ih, self.linear_hh = lstm.linear_ih, lstm.linear_hh
        self.kind = kind
        self.layout: Layout
        self.computed_by = ""

    def forward(self, x: Hidden, starts: Bool[Tensor, "batch length"], stream: DropoutStream | None) -> Hidden:
        """Run over the sentences of :attr:`layout`, which has all that ``starts`` has."""
        flat = x.flatten(0, 1)
        dtype = _computing_dtype(x)
        pieces = flat.index_select(0, self.layout.pieces).to(dtype)
        parameters = [
            p.to(dtype)
            for p in (self.linear_ih.weight, self.linear_hh.weight, self.linear_ih.bias, self.linear_hh.bias)
        ]
        # Autocast would run cuDNN's LSTM in float16.
        with torch.autocast(x.device.type, enabled=False):
            run = self._rectangle if self.kind == "rectangle" else self._packed
            hs = run(pieces, parameters)
        return torch.zeros_like(flat).index_copy(0, self.layout.pieces, hs.to(x.dtype)).view_as(x)

    def _rectangle(self, pieces: Float[Tensor, "num_pieces hidden"], parameters: list[Tensor]) -> Tensor:
        longest, num_sentences = self.layout.shape
        places, hidden = self.layout.places, pieces.shape[1]
        filled = pieces.new_zeros(longest * num_sentences, hidden).index_copy(0, places, pieces)
        zero = pieces.new_zeros(1, num_sentences, hidden)
        hs, _, _ = torch.lstm(
            filled.view(longest, num_sentences, hidden), (zero, zero), parameters, True, 1, 0.0, True, False, False
        )
        self._note(hs)
        return hs.flatten(0, 1).index_select(0, places)

    def _packed(self, pieces: Float[Tensor, "num_pieces hidden"], parameters: list[Tensor]) -> Tensor:
        zero = pieces.new_zeros(1, self.layout.shape[1], pieces.shape[1])
        hs, _, _ = torch.lstm(pieces, self.layout.at_step, (zero, zero), parameters, True, 1, 0.0, True, False)
        self._note(hs)
        return hs

    def _note(self, hs: Tensor) -> None:
        self.computed_by = f"{type(hs.grad_fn).__name__}, {hs.dtype}".replace("torch.", "")


def _computing_dtype(x: Tensor) -> torch.dtype:
    """Return the type that autocast asks for if cuDNN has it, else the input's."""
    device = x.device.type
    has_bfloat16 = device == "cuda" and (torch.backends.cudnn.version() or 0) >= CUDNN_WITH_BFLOAT16
    if torch.is_autocast_enabled(device) and has_bfloat16:
        return torch.get_autocast_dtype(device)
    return x.dtype
