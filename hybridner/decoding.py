"""Logits to tags, and tags to entities whose scores are exact probabilities.

The model gives every word a distribution over the labels. Given that the tags form a valid BIO sequence (an
``I-X`` stands after ``B-X`` or ``I-X`` only), the words' distributions make one distribution over sequences:
each valid one has the product of its words' probabilities, divided by the sum of these products over all
valid ones. It is a linear chain whose transitions are allowed or not; its most probable sequence comes from
Viterbi's algorithm and its marginals from the forward and backward recursions (Rabiner 1989).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from hybridner.data.schemes import Span, entity_spans
from hybridner.errors import InputError
from hybridner.text import Word


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity found in a text.

    Attributes:
        text: its characters, ``text[start:end]`` of the text it was found in.
        label: its type, such as "PER".
        start: its first character.
        end: the character after its last.
        score: probability in (0, 1] that an entity of exactly this type and these words stands here, given
            the model's distributions and that the tags are valid: what all valid sequences that hold it have
            of the probability of all valid sequences. Entities that share a word exclude each other, so their
            scores add up to at most 1. One below the smallest normal float64 is given as that. It is the model's
            own belief: ``hybridner evaluate`` measures how often such beliefs are right.
        words: its first word and the word after its last, counted in the sentence.
    """

    text: str
    label: str
    start: int
    end: int
    score: float
    words: tuple[int, int]


def argmax_tags(logits: Float[np.ndarray, "num_words num_labels"]) -> Int[np.ndarray, "num_words"]:
    """The most probable label of each word by itself; the sequence may be invalid.

    Returns:
        int64 numbers of labels; of equal logits the first.

    Raises:
        ValueError: logits that are not finite.
    """
    return _shifted(logits).argmax(axis=1)


def decode(logits: Float[np.ndarray, "num_words num_labels"], labels: Sequence[str]) -> Int[np.ndarray, "num_words"]:
    """The most probable valid sequence of tags: the argmax wherever that is valid, else by Viterbi.

    Args:
        logits: of the words of one sentence; any float dtype, computed with in float64.
        labels: "O", "B-X" and "I-X" in any order, the names of the logits' columns.

    Returns:
        int64 numbers of labels. None for no words.

    Raises:
        ValueError: logits that are not finite, or not as wide as there are labels.
        InputError: labels that are not BIO.
    """
    lattice = _lattice(tuple(labels))
    emissions = _shifted(logits, len(labels))
    best = emissions.argmax(axis=1)
    return best if lattice.is_valid(best) else _viterbi(emissions, lattice)


def entities(
    tags: Int[np.ndarray, "num_words"],
    logits: Float[np.ndarray, "num_words num_labels"],
    labels: Sequence[str],
    words: Sequence[Word],
    text: str,
) -> list[Entity]:
    """The entities of one sentence, with their scores.

    Args:
        tags: a valid sequence of numbers of labels, such as :func:`decode` gives.
        logits: what the scores are computed from.
        labels: "O", "B-X" and "I-X" in any order, the names of the logits' columns.
        words: the words of the sentence, with offsets that count in ``text``.
        text: the text the words were cut from.

    Returns:
        Entities in the order of the text.

    Raises:
        ValueError: logits that are not finite, arguments of different lengths, or tags that are not valid.
        InputError: labels that are not BIO.
    """
    if len(tags) != len(words):
        raise ValueError(f"{len(tags)} tags and {len(logits)} rows of logits for {len(words)} words")
    return entities_of(scored_spans(tags, logits, labels), words, text)


def entities_of(scored: Iterable[tuple[Span, float]], words: Sequence[Word], text: str) -> list[Entity]:
    """Spans of the words of one sentence with their scores as entities of the text that the words were cut from."""
    return [
        Entity(
            text=text[words[first].start : words[stop - 1].end],
            label=label,
            start=words[first].start,
            end=words[stop - 1].end,
            score=score,
            words=(first, stop),
        )
        for (label, first, stop), score in scored
    ]


def scored_spans(
    tags: Int[np.ndarray, "num_words"], logits: Float[np.ndarray, "num_words num_labels"], labels: Sequence[str]
) -> list[tuple[Span, float]]:
    """The entities of one sentence as spans of words, each with its score (``Entity.score`` says what that is).

    Args:
        tags: a valid sequence of numbers of labels, such as :func:`decode` gives.
        logits: what the scores are computed from.
        labels: "O", "B-X" and "I-X" in any order, the names of the logits' columns.

    Returns:
        Pairs of ``(type, first word, word after the last)`` and score, in the order of the sentence.

    Raises:
        ValueError: logits that are not finite, not as many tags as rows of them, or tags that are not valid.
        InputError: labels that are not BIO.
    """
    lattice = _lattice(tuple(labels))
    emissions = _shifted(logits, len(labels))
    if len(tags) != len(emissions):
        raise ValueError(f"{len(tags)} tags and {len(emissions)} rows of logits")
    names = [labels[tag] for tag in tags]
    if not lattice.is_valid(tags):
        raise ValueError(f"{names} is not a valid BIO sequence")
    spans = entity_spans(names)
    if not spans:
        return []
    forward, after = _forward(emissions, lattice), _after(emissions, lattice)
    total = np.logaddexp.reduce(forward[-1])
    scored = []
    for label, first, stop in spans:
        inside = emissions[np.arange(first + 1, stop), tags[first + 1 : stop]].sum()
        log_score = forward[first, tags[first]] + inside + after[stop] - total
        scored.append(((label, first, stop), float(np.clip(np.exp(log_score), np.finfo(np.float64).tiny, 1.0))))
    return scored


class _Lattice(NamedTuple):
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
def _lattice(labels: tuple[str, ...]) -> _Lattice:
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
    return _Lattice(np.array(starts), inside, begin, allowed)


def _shifted(
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


def _viterbi(emissions: Float[np.ndarray, "num_words num_labels"], lattice: _Lattice) -> Int[np.ndarray, "num_words"]:
    starts, inside, begin, _ = lattice
    came_from = np.zeros(emissions.shape, dtype=np.int64)
    score = np.full(emissions.shape[1], -np.inf)
    score[starts] = emissions[0, starts]
    for word in range(1, len(emissions)):
        best = score.argmax()
        going_on = score[inside] >= score[begin]
        came_from[word, starts] = best
        came_from[word, inside] = np.where(going_on, inside, begin)
        following = np.full_like(score, -np.inf)
        following[starts] = score[best]
        following[inside] = np.where(going_on, score[inside], score[begin])
        score = following + emissions[word]
    path = np.empty(len(emissions), dtype=np.int64)
    path[-1] = score.argmax()
    for word in range(len(emissions) - 1, 0, -1):
        path[word - 1] = came_from[word, path[word]]
    return path


def _forward(
    emissions: Float[np.ndarray, "num_words num_labels"], lattice: _Lattice
) -> Float[np.ndarray, "num_words num_labels"]:
    """Log of the sum over the valid sequences of words 0…w that end in the label."""
    starts, inside, begin, _ = lattice
    sums = np.full(emissions.shape, -np.inf)
    sums[0, starts] = emissions[0, starts]
    for word in range(1, len(emissions)):
        before = sums[word - 1]
        sums[word, starts] = np.logaddexp.reduce(before) + emissions[word, starts]
        sums[word, inside] = np.logaddexp(before[begin], before[inside]) + emissions[word, inside]
    return sums


def _after(
    emissions: Float[np.ndarray, "num_words num_labels"], lattice: _Lattice
) -> Float[np.ndarray, "num_words_and_1"]:
    """Log of the sum over the valid sequences of words w…end that start with O or B-: no entity goes on."""
    starts, inside, begin, _ = lattice
    sums = np.zeros(len(emissions) + 1)
    # Of the words after this one: what may follow each label.
    going_on = np.zeros(emissions.shape[1])
    for word in range(len(emissions) - 1, -1, -1):
        here = emissions[word] + going_on
        sums[word] = np.logaddexp.reduce(here[starts])
        going_on = np.full_like(going_on, sums[word])
        going_on[begin] = going_on[inside] = np.logaddexp(sums[word], here[inside])
    return sums
