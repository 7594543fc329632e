"""Logits to tags, and tags to entities whose scores are exact probabilities.

The model gives every word a distribution over the labels. Given that the tags form a valid BIO sequence (an
``I-X`` stands after ``B-X`` or ``I-X`` only), the words' distributions make one distribution over sequences:
each valid one has the product of its words' probabilities, divided by the sum of these products over all
valid ones. It is a linear chain whose transitions are allowed or not; its most probable sequence comes from
Viterbi's algorithm and its marginals from the forward and backward recursions (Rabiner 1989).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from hybridner.corpora.schemes import Span, entity_spans
from hybridner.tagging.lattice import Lattice, Steps, after_sums, forward_sums, lattice_of, shifted, viterbi
from hybridner.text.words import Word

ScoredSpans = list[tuple[Span, float]]


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
    return shifted(logits).argmax(axis=1)


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
    return decode_many([logits], labels)[0]


def decode_many(
    logits: Sequence[Float[np.ndarray, "num_words num_labels"]], labels: Sequence[str]
) -> list[Int[np.ndarray, "num_words"]]:
    """The most probable valid sequence of tags of each sentence, as :func:`decode` finds it.

    Args:
        logits: of the words of each sentence, any float dtype.
        labels: "O", "B-X" and "I-X" in any order, the names of the logits' columns.

    Returns:
        int64 numbers of labels, an array a sentence.

    Raises:
        ValueError: logits that are not finite, or not as wide as there are labels.
        InputError: labels that are not BIO.
    """
    lattice = lattice_of(tuple(labels))
    lengths = np.array([len(one) for one in logits], np.int64)
    emissions = _flat(logits, len(labels))
    tags = emissions.argmax(axis=1)
    broken = np.unique(_sentence_of_words(lengths)[~_may_follow(tags, lengths, lattice)])
    if len(broken):
        words = np.isin(_sentence_of_words(lengths), broken)
        steps = Steps(lengths[broken])
        tags[words] = steps.by_sentence(viterbi(steps.by_step(emissions[words]), steps, lattice))
    return _split(tags, lengths)


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
) -> ScoredSpans:
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
    shifted(logits, len(labels))
    if len(tags) != len(logits):
        raise ValueError(f"{len(tags)} tags and {len(logits)} rows of logits")
    if not lattice_of(tuple(labels)).is_valid(tags):
        raise ValueError(f"{[labels[tag] for tag in tags]} is not a valid BIO sequence")
    return scored_spans_many([tags], [logits], labels)[0]


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
    lattice = lattice_of(tuple(labels))
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
    steps = Steps(lengths)
    by_step = steps.by_step(emissions)
    forward = steps.by_sentence(forward_sums(by_step, steps, lattice))
    after = steps.by_sentence(after_sums(by_step, steps, lattice))
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


def _flat(logits: Sequence[np.ndarray], num_labels: int) -> Float[np.ndarray, "all_words num_labels"]:
    return shifted(np.concatenate(logits) if len(logits) else np.zeros((0, num_labels)), num_labels)


def _split(tags: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum(lengths).tolist()
    return [tags[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def _sentence_of_words(lengths: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(lengths)), lengths)


def _may_follow(tags: np.ndarray, lengths: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Whether each word's tag may follow the one before it."""
    before = np.concatenate(([0], tags[:-1]))[: len(tags)]
    filled = lengths > 0
    before[(np.cumsum(lengths) - lengths)[filled]] = len(lattice.allowed) - 1
    return lattice.allowed[before, tags]
