"""Random weights and batches to compare models on, and batches of a corpus's text."""

import zlib
from functools import partial

import numpy as np
from jaxtyping import Float32, Int32

from hybridner.batches.batch import Batch, build_batch
from hybridner.batches.encoding import IGNORED, Encoded
from hybridner.batches.packing import Packing, Shape, pack
from hybridner.config.model import ModelConfig
from hybridner.files.tensors import Weights
from hybridner.model.crf import allowed_transitions
from hybridner.model.parts import rows
from hybridner.model.weights import initial_weights
from hybridner.text.vocabulary import AFFIXES, FIRST_AFFIX, FIRST_CHARACTER, SHAPE, WORD

_ROWS, _LENGTH = 6, 24
_PACKED = (9, 4, 13, 2, 20, 7, 11, 3, 16, 5)
_UNLABELLED = 0.3


def random_weights(config: ModelConfig, seed: int, embedding_mean: float = 0.0) -> Weights:
    """Draw float32 weights that hide no mistake.

    LayerNorms at 1 and 0 would hide a missing or swapped one, so would transitions and relative positions at 0, and a
    mean near zero a variance of E[x²] − E[x]². ``embedding_mean`` is added to every embedding but the pad piece's; a
    correct LayerNorm removes it.
    """
    weights = initial_weights(config, seed)
    for row in rows(config):
        value = weights[row.name]
        if row.kind in ("norm_scale", "norm_bias", "relative_bias", "transitions"):
            rng = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(row.name.encode()) + 1]))
            value += rng.uniform(-0.5, 0.5, value.shape).astype(np.float32)
        elif row.kind == "embedding":
            value += np.float32(embedding_mean)
            value[config.input.pad_token_id] = 0
    return weights


def random_batch(
    config: ModelConfig,
    lengths: list[int],
    seed: int,
    *,
    row_length: int | None = None,
    num_rows: int = 1,
    packed: bool = False,
) -> Batch:
    """Make a batch of random sentences with random labels, about a third of the pieces unlabelled.

    The first piece is the pad piece: even within a sentence, its row of the embedding must get no gradient.

    ``lengths`` are the pieces of each sentence. A row has one sentence, or several if ``packed``, and by default the
    length of the longest. There are at least ``num_rows``; unused rows are padding.
    """
    rng = np.random.Generator(np.random.Philox(key=[seed, 7]))
    length = row_length or max(lengths)
    packing = pack(lengths, length) if packed else _one_per_row(len(lengths))
    shape = Shape(max(packing.num_rows, num_rows), length)
    input_ids = np.full((*shape, *features_shape(config)), config.input.pad_token_id, np.int32)
    attention_mask = np.zeros(shape, np.int32)
    labels = np.full(shape, IGNORED, np.int32)
    for number, (row, start, size) in enumerate(zip(packing.rows, packing.starts, lengths, strict=True)):
        span = slice(start, start + size)
        input_ids[row, span] = random_ids(config, size, rng)
        attention_mask[row, span] = attention_mask[row].max() + 1
        labels[row, span] = rng.integers(0, config.num_labels, size)
        unlabelled = rng.random(size) < _UNLABELLED
        unlabelled[0] &= number > 0
        labels[row, span][unlabelled] = IGNORED
        if config.head.kind == "crf":
            make_valid(labels[row, span], config.num_labels)
    input_ids[packing.rows[0], packing.starts[0]] = config.input.pad_token_id
    examples, sizes = np.arange(len(lengths)), np.asarray(lengths)
    vectors = random_vectors(config, attention_mask, rng)
    return Batch(input_ids, attention_mask, labels, examples, packing.rows, packing.starts, sizes, vectors=vectors)


def features_shape(config: ModelConfig) -> tuple[int, ...]:
    """Return the axes that ``input_ids`` has after ``[rows, length]``."""
    return () if config.input.kind == "pieces" else (FIRST_CHARACTER + config.input.max_characters,)


def random_ids(config: ModelConfig, size: int, rng: np.random.Generator) -> Int32[np.ndarray, "size *features"]:
    """Draw pieces, or the features of words."""
    read = config.input
    if read.kind == "pieces":
        return rng.integers(0, read.vocab_size, size, dtype=np.int32)
    ids = np.zeros((size, *features_shape(config)), np.int32)
    ids[:, WORD], ids[:, SHAPE] = rng.integers(0, read.num_words, size), rng.integers(0, read.num_shapes, size)
    affixes = np.arange(len(AFFIXES))
    ids[:, FIRST_AFFIX:FIRST_CHARACTER] = (
        rng.integers(0, read.affix_rows, (size, len(AFFIXES))) + affixes * read.affix_rows
    )
    characters = rng.integers(1, read.num_characters, (size, read.max_characters))
    lengths = rng.integers(1, read.max_characters + 1, size)
    ids[:, FIRST_CHARACTER:] = np.where(np.arange(read.max_characters) < lengths[:, None], characters, 0)
    return ids


def random_vectors(
    config: ModelConfig, attention_mask: Int32[np.ndarray, "*shape"], rng: np.random.Generator
) -> Float32[np.ndarray, "*shape vector_size"] | None:
    """Draw vectors of words, zeros in padding; None if the model reads none."""
    size = 0 if config.input.kind == "pieces" else config.input.vector_size
    if size == 0:
        return None
    return rng.normal(size=(*attention_mask.shape, size)).astype(np.float32) * (attention_mask != 0)[..., None]


def make_valid(labels: Int32[np.ndarray, "length"], num_labels: int) -> None:
    """Raise each label, in place, to the next one that makes a valid sequence of the labelled words."""
    allowed = allowed_transitions(num_labels)
    words = np.flatnonzero(labels != IGNORED)
    may_follow = allowed.start
    for word in words:
        choices = np.flatnonzero(may_follow & (allowed.end if word == words[-1] else True))
        labels[word] = choices[np.searchsorted(choices, labels[word]) % len(choices)]
        may_follow = allowed.between[labels[word]]


def standard_batches(config: ModelConfig, row_multiple: int = 1) -> list[Batch]:
    """Make three random batches (padded, ragged, packed) of one shape, for which a program is compiled once.

    Padding rounds the number of rows up to a multiple of ``row_multiple``.
    """
    longest = min(config.input.max_length, _LENGTH)
    draw = partial(random_batch, config, row_length=_LENGTH, num_rows=-(-_ROWS // row_multiple) * row_multiple)
    return [
        draw([max(1, longest - 3 * i) for i in range(_ROWS)], 0),
        draw([longest, 1, 1, 2], 1),
        draw([min(longest, n) for n in _PACKED], 2, packed=True),
    ]


def corpus_batches(encoded: Encoded, pad_token_id: int) -> list[Batch]:
    """Make a padded and a packed batch of one shape from sentences spread evenly over a split."""
    chosen = np.unique(np.linspace(0, len(encoded) - 1, _ROWS + len(_PACKED)).astype(int))
    length = int(encoded.lengths[chosen].max())
    alone, together = chosen[:_ROWS], chosen[_ROWS:]
    placed = [(alone, _one_per_row(len(alone)))]
    if len(together):
        placed.append((together, pack(encoded.lengths[together], length)))
    shape = Shape(max(packing.num_rows for _, packing in placed), length)
    return [build_batch(encoded, examples, shape, packing, pad_token_id) for examples, packing in placed]


def _one_per_row(number: int) -> Packing:
    return Packing(np.arange(number), np.zeros(number, int), number)
