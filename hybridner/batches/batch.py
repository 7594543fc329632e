"""Batches of encoded sentences: packed rows of few fixed shapes, in an order that (seed, epoch) decides."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from hybridner.batches.encoding import IGNORED, Encoded
from hybridner.batches.packing import Packing, Shape, ShapePlan, pack, row_lengths
from hybridner.text.vocabulary import UNKNOWN, WORD

_INFERENCE_CHUNK = 4096
_INFERENCE_PIECES = (2048, 512, 128)
_INFERENCE_ROW = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Packed rows of word pieces: with several processes, one process's equal share of the rows.

    Attributes:
        input_ids: int32 ``[rows, length]``, the pad piece in padding; or ``[rows, length, num_features]``, the features
            of words (:mod:`hybridner.text.vocabulary`), zeros in padding.
        attention_mask: int32 ``[rows, length]``; 0 for padding, 1…n for the sentence within the row. Positions,
            attention and LSTM state restart where it changes.
        labels: int32 ``[rows, length]``; -100 where no loss is computed.
        examples: ``[num_examples]``, numbers of the examples in the split.
        rows, starts, lengths: ``[num_examples]``, the row, first column and number of pieces of each example.
        part: number of this share and of how many. Only ``input_ids``, ``attention_mask``, ``labels`` and ``vectors``
            are split; the other attributes describe the whole batch.
        vectors: float32 ``[rows, length, vector_size]``, the frozen vectors of words, zeros for a word without one and
            in padding; None if the model reads none.
    """

    input_ids: Int32[np.ndarray, "rows length *features"]
    attention_mask: Int32[np.ndarray, "rows length"]
    labels: Int32[np.ndarray, "rows length"]
    examples: Int[np.ndarray, "num_examples"]
    rows: Int[np.ndarray, "num_examples"]
    starts: Int[np.ndarray, "num_examples"]
    lengths: Int[np.ndarray, "num_examples"]
    part: tuple[int, int] = (0, 1)
    vectors: Float32[np.ndarray, "rows length vector_size"] | None = None

    @property
    def num_pieces(self) -> int:
        """Positions of the whole batch that are not padding."""
        return int(self.lengths.sum())

    @property
    def shape(self) -> Shape:
        """Shape of the whole batch."""
        rows, length = self.labels.shape
        return Shape(rows * self.part[1], length)

    def take_part(self, number: int, of: int) -> "Batch":
        """Take an equal share of the rows; return the batch itself if it is that share.

        Raises:
            ValueError: this is another part, or the rows cannot be shared evenly.
        """
        if self.part == (number, of):
            return self
        if self.part != (0, 1) or len(self.input_ids) % of:
            raise ValueError(f"part {number} of {of} of a batch of {len(self.input_ids)} rows, part {self.part}")
        split = {"input_ids": self.input_ids, "attention_mask": self.attention_mask, "labels": self.labels}
        if self.vectors is not None:
            split["vectors"] = self.vectors
        return replace(self, **{name: np.split(array, of)[number] for name, array in split.items()}, part=(number, of))

    def at_words(self, values: np.ndarray, encoded: Encoded) -> Iterator[tuple[int, np.ndarray]]:
        """Split ``values [rows, length, …]`` of the whole batch into (example, values at its labelled positions)."""
        for example, row, start, length in zip(self.examples, self.rows, self.starts, self.lengths, strict=True):
            yield int(example), values[row, start : start + length][encoded.example(example)[1] != IGNORED]


def build_batch(
    encoded: Encoded,
    examples: Int[np.ndarray, "num_examples"],
    shape: Shape,
    packing: Packing,
    pad_token_id: int,
    part: tuple[int, int] = (0, 1),
    dropped: Bool[np.ndarray, "num_pieces"] | None = None,
) -> Batch:
    """Build a batch of ``shape`` with ``examples`` placed by ``packing``, and keep the rows of ``part``.

    ``dropped`` marks the words of the split to take for unknown; they keep their frozen vectors.
    """
    number, of = part
    num_rows = shape.rows // of
    first = number * num_rows
    here = Shape(num_rows, shape.length)
    input_ids = np.full(here, pad_token_id, np.int32)
    attention_mask = np.zeros(here, np.int32)
    labels = np.full(here, IGNORED, np.int32)
    is_dropped = np.zeros(here, bool)
    lengths = encoded.lengths[examples]
    sentences_in_row = [0] * num_rows
    for i in np.flatnonzero((packing.rows >= first) & (packing.rows < first + num_rows)).tolist():
        row, start = int(packing.rows[i]) - first, int(packing.starts[i])
        span = slice(start, start + int(lengths[i]))
        sentences_in_row[row] += 1
        input_ids[row, span], labels[row, span] = encoded.example(examples[i])
        attention_mask[row, span] = sentences_in_row[row]
        if dropped is not None:
            is_dropped[row, span] = dropped[encoded.offsets[examples[i]] : encoded.offsets[examples[i] + 1]]
    vectors = None
    if (types := encoded.types) is not None:
        if types.vectors is not None and types.vector_rows is not None:
            vectors = types.vectors.take(types.vector_rows[input_ids])
        input_ids = types.features[input_ids]
        input_ids[..., WORD][is_dropped] = UNKNOWN
    return Batch(input_ids, attention_mask, labels, examples, packing.rows, packing.starts, lengths, part, vectors)


def epoch_order(num_examples: int, seed: int, epoch: int) -> Int[np.ndarray, "num_examples"]:
    """Shuffle the examples of an epoch; the order depends on (seed, epoch) alone."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(num_examples)


def dropped_words(encoded: Encoded, seed: int, epoch: int) -> Bool[np.ndarray, "num_pieces"]:
    """Choose the words of the split to take for unknown; the choice depends on (seed, epoch) and the words alone."""
    assert encoded.types is not None
    drawn = np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, 1]))
    return drawn.random(len(encoded.input_ids), np.float32) < encoded.types.drop[encoded.input_ids]


def training_batches(
    encoded: Encoded,
    plan: ShapePlan,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    pad_token_id: int,
    start: int = 0,
    part: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
    """Build the batches of an epoch from batch ``start`` on, each of ``batch_size`` random sentences, packed.

    ``seed`` and ``epoch`` (from 0) decide the order. ``part`` is the number of this process and of how many: its
    batches contain its rows only, so the rows of the plan's shapes must divide evenly among the parts.
    """
    order = epoch_order(len(encoded), seed, epoch)
    dropped = None if encoded.types is None else dropped_words(encoded, seed, epoch)
    for first in range(start * batch_size, len(order), batch_size):
        examples = order[first : first + batch_size]
        shape, packing = plan.fit(encoded.lengths[examples])
        yield build_batch(encoded, examples, shape, packing, pad_token_id, part, dropped)


def inference_batches(
    encoded: Encoded, *, pad_token_id: int, row_multiple: int = 1, part: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Batch all examples, grouped by length within chunks of the file, in at most three shapes per row length.

    On one device, sentences of a group that fit one row, or half of one, form a batch of just that. Chunks keep the
    order of the file; the examples within a chunk do not. ``part`` is as for :func:`training_batches`.
    """
    for examples, length in _by_length(encoded.lengths):
        packing = pack(encoded.lengths[examples], length)
        sizes = sorted({-(-max(1, pieces // length) // row_multiple) * row_multiple for pieces in _INFERENCE_PIECES})
        if packing.num_rows == row_multiple == 1:
            # Keep the latency of a single sentence low: compute no empty rows.
            sizes, length = [1], length // 2 if encoded.lengths[examples].sum() <= length // 2 else length
        top = 0
        while top < packing.num_rows:
            # Choose the largest batch that the remaining rows fill to three quarters.
            rows = max([sizes[0], *(size for size in sizes if 4 * (packing.num_rows - top) >= 3 * size)])
            here = (packing.rows >= top) & (packing.rows < top + rows)
            placed = Packing(packing.rows[here] - top, packing.starts[here], rows)
            yield build_batch(encoded, examples[here], Shape(rows, length), placed, pad_token_id, part)
            top += rows


def _by_length(lengths: Int[np.ndarray, "num_examples"]) -> Iterator[tuple[Int[np.ndarray, "group"], int]]:
    """Group the examples of each chunk of the file by the row length that they need."""
    for chunk in np.split(np.arange(len(lengths)), range(_INFERENCE_CHUNK, len(lengths), _INFERENCE_CHUNK)):
        shorter = 0
        for length in row_lengths(int(lengths[chunk].max(initial=0)), _INFERENCE_ROW):
            yield chunk[(lengths[chunk] > shorter) & (lengths[chunk] <= length)], length
            shorter = length
