"""Batches of encoded sentences: packed rows of few fixed shapes, in an order that (seed, epoch) decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32

from hybridner.data.encoding import IGNORED, Encoded
from hybridner.data.packing import Packing, Shape, ShapePlan, pack, row_lengths

_INFERENCE_CHUNK = 4096
_INFERENCE_PIECES = 2048
_INFERENCE_ROW = 64
_FEW_ROWS = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of word pieces, several sentences to a row.

    Attributes:
        input_ids: int32 ``[rows, length]``; the pad piece where there is nothing.
        attention_mask: int32 ``[rows, length]``; 0 for padding, 1…n for the sentence within the row. Positions,
            attention and LSTM state start anew where it changes.
        labels: int32 ``[rows, length]``; -100 where nothing is scored.
        examples: which example of the split each packed sequence is, ``[num_examples]``.
        rows: the row it stands in, ``[num_examples]``.
        starts: the column it starts at, ``[num_examples]``.
        lengths: its number of pieces, ``[num_examples]``.
    """

    input_ids: Int32[np.ndarray, "rows length"]
    attention_mask: Int32[np.ndarray, "rows length"]
    labels: Int32[np.ndarray, "rows length"]
    examples: Int[np.ndarray, "num_examples"]
    rows: Int[np.ndarray, "num_examples"]
    starts: Int[np.ndarray, "num_examples"]
    lengths: Int[np.ndarray, "num_examples"]

    @property
    def num_pieces(self) -> int:
        """Positions that are not padding."""
        return int(self.lengths.sum())

    def at_words(self, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Split ``values [rows, length, …]`` into (example, values at its labelled positions)."""
        for example, row, start, length in zip(self.examples, self.rows, self.starts, self.lengths, strict=True):
            span = slice(start, start + length)
            yield int(example), values[row, span][self.labels[row, span] != IGNORED]


def build_batch(
    encoded: Encoded,
    examples: Int[np.ndarray, "num_examples"],
    shape: Shape,
    packing: Packing,
    pad_token_id: int,
) -> Batch:
    """Copy ``examples`` to the places ``packing`` gives them in a batch of ``shape``."""
    input_ids = np.full(shape, pad_token_id, np.int32)
    attention_mask = np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED, np.int32)
    lengths = encoded.lengths[examples]
    sentences_in_row = [0] * shape.rows
    for example, row, start, length in zip(examples, packing.rows, packing.starts, lengths, strict=True):
        span = slice(start, start + length)
        sentences_in_row[row] += 1
        input_ids[row, span], labels[row, span] = encoded.example(example)
        attention_mask[row, span] = sentences_in_row[row]
    return Batch(input_ids, attention_mask, labels, examples, packing.rows, packing.starts, lengths)


def epoch_order(num_examples: int, seed: int, epoch: int) -> Int[np.ndarray, "num_examples"]:
    """The order of the examples in an epoch: a function of (seed, epoch) alone."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_examples)


def training_batches(
    encoded: Encoded,
    plan: ShapePlan,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    pad_token_id: int,
    start: int = 0,
) -> Iterator[Batch]:
    """The batches of an epoch from batch ``start`` on; each holds ``batch_size`` random sentences, packed."""
    order = epoch_order(len(encoded), seed, epoch)
    for first in range(start * batch_size, len(order), batch_size):
        examples = order[first : first + batch_size]
        shape, packing = plan.fit(encoded.lengths[examples])
        yield build_batch(encoded, examples, shape, packing, pad_token_id)


def inference_batches(encoded: Encoded, *, pad_token_id: int, row_multiple: int = 1) -> Iterator[Batch]:
    """All examples, grouped by length within chunks of the file and packed: two shapes for each row length.

    A chunk's batches come one after the other; within a chunk the order is not that of the file.
    """
    for first in range(0, len(encoded), _INFERENCE_CHUNK):
        chunk = np.arange(first, min(first + _INFERENCE_CHUNK, len(encoded)))
        lengths = encoded.lengths[chunk]
        shorter = 0
        for length in row_lengths(int(lengths.max()), _INFERENCE_ROW):
            group = chunk[(lengths > shorter) & (lengths <= length)]
            shorter = length
            yield from _packed(encoded, group, length, pad_token_id, row_multiple)


def _packed(
    encoded: Encoded,
    examples: Int[np.ndarray, "num_examples"],
    length: int,
    pad_token_id: int,
    row_multiple: int,
) -> Iterator[Batch]:
    packing = pack(encoded.lengths[examples], length)
    many = -(-max(_FEW_ROWS, _INFERENCE_PIECES // length) // row_multiple) * row_multiple
    few = -(-_FEW_ROWS // row_multiple) * row_multiple
    for top in range(0, packing.num_rows, many):
        here = (packing.rows >= top) & (packing.rows < top + many)
        rows = few if packing.num_rows - top <= few else many
        part = Packing(packing.rows[here] - top, packing.starts[here], rows)
        yield build_batch(encoded, examples[here], Shape(rows, length), part, pad_token_id)
