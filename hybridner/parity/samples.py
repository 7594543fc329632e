"""Small random models and batches to compare twins on."""

import numpy as np

from hybridner.config import ModelConfig
from hybridner.data.batches import Batch
from hybridner.data.encoding import IGNORED
from hybridner.data.packing import Shape, pack


def random_batch(
    config: ModelConfig, lengths: list[int], seed: int, *, row_length: int | None = None, row_multiple: int = 1
) -> Batch:
    """A batch of random sentences with random labels, about a third of the pieces unlabelled.

    Args:
        config: sizes to draw within.
        lengths: pieces of each sentence.
        seed: decides the pieces and the labels.
        row_length: pack several sentences to a row of this length; None pads each to the longest.
        row_multiple: rows are filled up to a multiple of this.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, 7]))
    length = row_length or max(lengths)
    packing = pack(lengths, length)
    rows, starts = packing.rows, packing.starts
    num_rows = packing.num_rows
    if row_length is None:
        rows, starts, num_rows = np.arange(len(lengths)), np.zeros(len(lengths), int), len(lengths)
    shape = Shape(-(-num_rows // row_multiple) * row_multiple, length)
    input_ids = np.full(shape, config.pad_token_id, np.int32)
    attention_mask = np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED, np.int32)
    in_row = [0] * shape.rows
    pieces = np.delete(np.arange(config.vocab_size), config.pad_token_id)
    for row, start, size in zip(rows, starts, lengths, strict=True):
        span = slice(start, start + size)
        in_row[row] += 1
        input_ids[row, span] = rng.choice(pieces, size)
        attention_mask[row, span] = in_row[row]
        drawn = rng.integers(0, config.num_labels, size)
        labels[row, span] = np.where(rng.random(size) < 0.3, IGNORED, drawn)
    return Batch(input_ids, attention_mask, labels, np.arange(len(lengths)), rows, starts, np.asarray(lengths))
