"""Many sentences decoded and scored at once: the recursions of :mod:`hybridner.decoding`, a word of each at a step.

The sentences' first words are one matrix, their second words the next, and so on; with the longest sentence first,
those that have an n-th word are the first rows of each matrix. What comes out is what :func:`decoding.decode` and
:func:`decoding.scored_spans` give for each sentence by itself.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from hybridner.data.schemes import Span, entity_spans
from hybridner.decoding import _Lattice, _lattice, _shifted

ScoredSpans = list[tuple[Span, float]]


def decode_many(
    logits: Sequence[Float[np.ndarray, "num_words num_labels"]], labels: Sequence[str]
) -> list[Int[np.ndarray, "num_words"]]:
    """The most probable valid sequence of tags of each sentence, as :func:`decoding.decode` finds it.

    Args:
        logits: of the words of each sentence, any float dtype.
        labels: "O", "B-X" and "I-X" in any order, the names of the logits' columns.

    Returns:
        int64 numbers of labels, an array a sentence.

    Raises:
        ValueError: logits that are not finite, or not as wide as there are labels.
        InputError: labels that are not BIO.
    """
    lattice = _lattice(tuple(labels))
    lengths = np.array([len(one) for one in logits], np.int64)
    emissions = _flat(logits, len(labels))
    tags = emissions.argmax(axis=1)
    broken = np.unique(_sentence_of_words(lengths)[~_may_follow(tags, lengths, lattice)])
    if len(broken):
        words = np.isin(_sentence_of_words(lengths), broken)
        steps = _Steps(lengths[broken])
        tags[words] = steps.by_sentence(_viterbi(steps.by_step(emissions[words]), steps, lattice))
    return _split(tags, lengths)


def scored_spans_many(
    tags: Sequence[Int[np.ndarray, "num_words"]],
    logits: Sequence[Float[np.ndarray, "num_words num_labels"]],
    labels: Sequence[str],
) -> list[ScoredSpans]:
    """The entities of each sentence as spans of words, each with its score (``Entity.score`` says what that is).

    Args:
        tags: numbers of labels, any sequence: an I- that does not go on with an entity of its type starts one, and is
            scored as the entity it is read as.
        logits: what the scores are computed from.
        labels: "O" and, for each type X, "B-X" and "I-X", in any order: the names of the logits' columns.

    Returns:
        For each sentence its pairs of ``(type, first word, word after the last)`` and score, in order.

    Raises:
        ValueError: logits that are not finite, or not as many tags as rows of them.
        InputError: labels that are not BIO.
    """
    lattice = _lattice(tuple(labels))
    number = {label: i for i, label in enumerate(labels)}
    spans = [entity_spans([labels[tag] for tag in one.tolist()]) for one in tags]
    with_spans = [i for i, found in enumerate(spans) if found]
    lengths = np.array([len(logits[i]) for i in with_spans], np.int64)
    if [len(tags[i]) for i in with_spans] != lengths.tolist():
        raise ValueError("not as many tags as rows of logits")
    scored: list[ScoredSpans] = [[] for _ in spans]
    if not with_spans:
        return scored
    emissions = _flat([logits[i] for i in with_spans], len(labels))
    steps = _Steps(lengths)
    by_step = steps.by_step(emissions)
    forward = steps.by_sentence(_forward(by_step, steps, lattice))
    after = steps.by_sentence(_after(by_step, steps, lattice))
    ends = np.cumsum(lengths)
    totals = np.logaddexp.reduce(forward[ends - 1], axis=1)
    for i, begin, total in zip(with_spans, (ends - lengths).tolist(), totals.tolist(), strict=True):
        for kind, first, stop in spans[i]:
            log_score = forward[begin + first, number[f"B-{kind}"]] - total
            if stop > first + 1:
                log_score += emissions[begin + first + 1 : begin + stop, number[f"I-{kind}"]].sum()
            if stop < len(logits[i]):
                log_score += after[begin + stop]
            score = float(np.clip(np.exp(log_score), np.finfo(np.float64).tiny, 1.0))
            scored[i].append(((kind, first, stop), score))
    return scored


class _Steps:
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


def _flat(logits: Sequence[np.ndarray], num_labels: int) -> Float[np.ndarray, "all_words num_labels"]:
    return _shifted(np.concatenate(logits) if len(logits) else np.zeros((0, num_labels)), num_labels)


def _split(tags: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum(lengths).tolist()
    return [tags[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def _sentence_of_words(lengths: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(lengths)), lengths)


def _may_follow(tags: np.ndarray, lengths: np.ndarray, lattice: _Lattice) -> np.ndarray:
    """Whether each word's tag may follow the one before it."""
    before = np.concatenate(([0], tags[:-1]))[: len(tags)]
    filled = lengths > 0
    before[(np.cumsum(lengths) - lengths)[filled]] = len(lattice.allowed) - 1
    return lattice.allowed[before, tags]


def _viterbi(emissions: np.ndarray, steps: _Steps, lattice: _Lattice) -> Int[np.ndarray, "all_words"]:
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


def _forward(emissions: np.ndarray, steps: _Steps, lattice: _Lattice) -> Float[np.ndarray, "all_words num_labels"]:
    """Log of the sum over the valid sequences of a sentence's words 0…w that end in the label."""
    starts, inside, begin, _ = lattice
    sums = np.full(emissions.shape, -np.inf)
    sums[: steps.spans[0][1], starts] = emissions[: steps.spans[0][1], starts]
    for (last_top, _), (top, end) in zip(steps.spans, steps.spans[1:], strict=False):
        before = sums[last_top : last_top + end - top]
        sums[top:end, starts] = np.logaddexp.reduce(before, axis=1)[:, None] + emissions[top:end, starts]
        sums[top:end, inside] = np.logaddexp(before[:, begin], before[:, inside]) + emissions[top:end, inside]
    return sums


def _after(emissions: np.ndarray, steps: _Steps, lattice: _Lattice) -> Float[np.ndarray, "all_words"]:
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
