"""The linear chain over BIO labels: what may follow what, and the recursions over many sentences at once.

A word of each sentence is taken at a step: the sentences' first words are one matrix, their second words the next, and
so on. With the longest sentence first, those that have an n-th word are the first rows of each matrix.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hybridner.errors import InputError
from hybridner.files.paths import inside


class Lattice(NamedTuple):
    """What may follow what. ``starts``: O and B- labels, which may follow anything; ``inside``: I- labels.

    ``begin``: the B- label of each of ``inside``. I- labels without one can't occur and stand in neither.
    """

    starts: Int[np.ndarray, "starts"]
    inside: Int[np.ndarray, "inside"]
    begin: Int[np.ndarray, "inside"]
    allowed: Bool[np.ndarray, "labels_and_start num_labels"]

    def is_valid(self, tags: Int[np.ndarray, "num_words"]) -> bool:
        """Whether each tag may follow the one before it; the last row of ``allowed`` is a sentence's start."""
        before = np.concatenate([[len(self.allowed) - 1], tags[:-1]])
        return bool(self.allowed[before[: len(tags)], tags].all())


@lru_cache(maxsize=32)
def lattice_of(labels: tuple[str, ...]) -> Lattice:
    """The lattice of labels in the order of the logits' columns.

    Raises:
        InputError: labels that are not BIO.
    """
    number = {label: i for i, label in enumerate(labels)}
    for label in labels:
        if label != "O" and not (label[:2] in ("B-", "I-") and len(label) > 2):
            raise InputError(f"label {label!r} is not BIO: expected O, B-TYPE or I-TYPE")
    if len(number) < len(labels):
        raise InputError(f"labels {list(labels)} hold one twice; each must stand once")
    starts = [i for i, label in enumerate(labels) if not label.startswith("I-")]
    if not starts:
        raise InputError(f"labels {list(labels)} make no valid sequence; expected O or a B-TYPE among them")
    pairs = [(i, number[f"B-{la[2:]}"]) for la, i in number.items() if la[0] == "I" and f"B-{la[2:]}" in number]
    inside, begin = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    allowed = np.zeros((len(labels) + 1, len(labels)), dtype=bool)
    allowed[:, starts] = True
    allowed[inside, inside] = allowed[begin, inside] = True
    return Lattice(np.array(starts), inside, begin, allowed)


def shifted(
    logits: Float[np.ndarray, "num_words num_labels"], num_labels: int | None = None
) -> Float[np.ndarray, "num_words num_labels"]:
    """Logits in float64 with their row's largest taken off: the softmax is the same, sums can't overflow."""
    if logits.ndim != 2 or (num_labels is not None and logits.shape[1] != num_labels):
        raise ValueError(f"logits of shape {logits.shape}, expected [num_words, {num_labels or 'num_labels'}]")
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        wide -= wide.max(axis=1, keepdims=True)
    if not np.isfinite(wide).all():
        raise ValueError(f"logits of word {np.isfinite(wide).all(axis=1).argmin()} are not finite")
    return wide


class Steps:
    """Words by position: all first words, then all second ones, the longest sentence first in each."""

    def __init__(self, lengths: Int[np.ndarray, "num_sentences"]) -> None:
        """Lay out sentences of ``lengths`` words, at least one each."""
        order = np.argsort(-lengths, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ended = np.cumsum(np.bincount(lengths))[:-1]
        sizes = len(lengths) - ended
        ends = np.cumsum(sizes)
        self.spans: list[tuple[int, int]] = list(zip((ends - sizes).tolist(), ends.tolist(), strict=True))
        position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self._places = (ends - sizes)[position] + np.repeat(rank, lengths)

    def by_step(self, values: np.ndarray) -> np.ndarray:
        """Turn values of all words, a sentence after the other, into this order."""
        turned = np.empty_like(values)
        turned[self._places] = values
        return turned

    def by_sentence(self, values: np.ndarray) -> np.ndarray:
        """The way back."""
        return values[self._places]


def viterbi(emissions: np.ndarray, steps: Steps, lattice: Lattice) -> Int[np.ndarray, "all_words"]:
    """The most probable valid sequence of each sentence; emissions and tags in the order of ``steps``."""
    starts, inside, begin, _ = lattice
    came_from = np.zeros(emissions.shape, dtype=np.int64)
    path = np.empty(len(emissions), dtype=np.int64)
    score = np.full((steps.spans[0][1], emissions.shape[1]), -np.inf)
    score[:, starts] = emissions[: len(score), starts]
    for (last_top, _), (top, end) in zip(steps.spans, steps.spans[1:], strict=False):
        size = end - top
        path[last_top + size : top] = score[size:].argmax(axis=1)
        score = score[:size]
        best = score.argmax(axis=1)
        from_inside, from_begin = score[:, inside], score[:, begin]
        going_on = from_inside >= from_begin
        came_from[top:end, starts] = best[:, None]
        came_from[top:end, inside] = np.where(going_on, inside, begin)
        following = np.full_like(score, -np.inf)
        following[:, starts] = score.max(axis=1)[:, None]
        following[:, inside] = np.where(going_on, from_inside, from_begin)
        score = following + emissions[top:end]
    top, end = steps.spans[-1]
    path[top:end] = score.argmax(axis=1)
    for (before, _), (top, end) in zip(steps.spans[-2::-1], steps.spans[:0:-1], strict=True):
        path[before : before + end - top] = came_from[np.arange(top, end), path[top:end]]
    return path


def forward_sums(emissions: np.ndarray, steps: Steps, lattice: Lattice) -> Float[np.ndarray, "all_words num_labels"]:
    """Log of the sum over the valid sequences of a sentence's words 0…w that end in the label."""
    starts, inside, begin, _ = lattice
    sums = np.full(emissions.shape, -np.inf)
    sums[: steps.spans[0][1], starts] = emissions[: steps.spans[0][1], starts]
    for (last_top, _), (top, end) in zip(steps.spans, steps.spans[1:], strict=False):
        before = sums[last_top : last_top + end - top]
        sums[top:end, starts] = np.logaddexp.reduce(before, axis=1)[:, None] + emissions[top:end, starts]
        sums[top:end, inside] = np.logaddexp(before[:, begin], before[:, inside]) + emissions[top:end, inside]
    return sums


def after_sums(emissions: np.ndarray, steps: Steps, lattice: Lattice) -> Float[np.ndarray, "all_words"]:
    """Log of the sum over the valid sequences of a sentence's words w…end that start with O or B-."""
    starts, inside, begin, _ = lattice
    sums = np.empty(len(emissions))
    # Of the words after this step's: what may follow each label. Nothing comes after a sentence's last word.
    going_on = np.zeros((0, emissions.shape[1]))
    for top, end in reversed(steps.spans):
        here = emissions[top:end].copy()
        here[: len(going_on)] += going_on
        sums[top:end] = np.logaddexp.reduce(here[:, starts], axis=1)
        going_on = np.repeat(sums[top:end, None], emissions.shape[1], axis=1)
        going_on[:, begin] = going_on[:, inside] = np.logaddexp(sums[top:end, None], here[:, inside])
    return sums
