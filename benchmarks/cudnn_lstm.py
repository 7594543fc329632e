"""cuDNN's LSTM in the place of the PyTorch twin's scan, with the twin's own parameters.

cuDNN knows no sentence that starts within a row, so each sentence is taken out of its row to be a sequence of its own,
and what comes out is put back. Two layouts: a rectangle, in which the shorter sentences are padded, and PyTorch's
packed sequence, which holds pieces alone. On a CPU the same calls are computed by PyTorch's own LSTM.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybridner.batches.batch import Batch
from hybridner_torch.layers import Hidden
from hybridner_torch.lstm import LSTM

CUDNN_WITH_BFLOAT16 = 91300  # the first version whose RNNs compute in it


class Layout(NamedTuple):
    """Where the pieces of a batch stand, step by step, the longest sentence first.

    Attributes:
        pieces: the place of each piece in the rows one after the other, ``[num_pieces]``.
        places: its place in the rectangle ``[longest, num_sentences]``, flattened, ``[num_pieces]``.
        shape: of the rectangle.
        at_step: sentences that have a piece at each step, ``[longest]``; stays on the host, where PyTorch wants it.
    """

    pieces: Int[Tensor, "num_pieces"]
    places: Int[Tensor, "num_pieces"]
    shape: tuple[int, int]
    at_step: Int[Tensor, "longest"]

    def to(self, device: torch.device) -> "Layout":
        """The same with both places on a device."""
        return self._replace(pieces=self.pieces.to(device), places=self.places.to(device))


def layout_of(batch: Batch) -> Layout:
    """The layout of a whole batch's sentences, on the host."""
    order = np.argsort(-batch.lengths, kind="stable")
    firsts = batch.rows[order].astype(np.int64) * batch.shape.length + batch.starts[order]
    steps = np.arange(int(batch.lengths.max()))[:, None]
    inside = steps < batch.lengths[order]
    arrays = (firsts + steps)[inside], np.flatnonzero(inside), inside.sum(axis=1)
    pieces, places, at_step = (torch.from_numpy(array) for array in arrays)
    return Layout(pieces, places, (inside.shape[0], inside.shape[1]), at_step)


class CudnnLSTM(nn.Module):
    """Stands for a twin's ``LSTM``: its parameters under their names, its outputs at every piece, zero at padding.

    PyTorch copies the four parameters into cuDNN's one buffer in each call.

    Attributes:
        layout: of the batch that comes next, on its device.
        computed_by: what made the last output: autograd's name for it, and its type.
    """

    def __init__(self, lstm: LSTM, kind: Literal["rectangle", "packed"]) -> None:
        super().__init__()
        self.linear_ih, self.linear_hh = lstm.linear_ih, lstm.linear_hh
        self.kind = kind
        self.layout: Layout
        self.computed_by = ""

    def forward(self, x: Hidden, starts: Bool[Tensor, "batch length"]) -> Hidden:
        """Run over the sentences of :attr:`layout`; ``starts`` says no more than that."""
        flat = x.flatten(0, 1)
        dtype = _computing_dtype(x)
        pieces = flat.index_select(0, self.layout.pieces).to(dtype)
        parameters = [
            p.to(dtype)
            for p in (self.linear_ih.weight, self.linear_hh.weight, self.linear_ih.bias, self.linear_hh.bias)
        ]
        # Autocast would turn cuDNN's LSTM to float16.
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
    """The type that autocast asks for where cuDNN has it, else the input's."""
    device = x.device.type
    has_bfloat16 = device == "cuda" and (torch.backends.cudnn.version() or 0) >= CUDNN_WITH_BFLOAT16
    if torch.is_autocast_enabled(device) and has_bfloat16:
        return torch.get_autocast_dtype(device)
    return x.dtype
