"""Logits to tags, and tags to entities whose scores are exact probabilities.

The logits are the emissions of a linear chain over the labels, with transitions that forbid invalid sequences (see
:mod:`hybridner.tagging.lattice`). A model may use BIO or BIOES labels; tags are always BIO.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from hybridner.corpora.labels import is_bioes
from hybridner.corpora.schemes import Span, entity_spans, from_bio, to_bio
from hybridner.tagging.lattice import Lattice, Transitions, log_sum_exp
from hybridner.text.words import Word

ScoredSpans = list[tuple[Span, float]]
_CONTINUE = ("I-", "E-")  # prefixes of labels that continue an entity


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity found in a text.

    Attributes:
        text: its characters, ``text[start:end]`` of the text it was found in.
        label: its type, such as "PER".
        start: its first character.
        end: the character after its last.
        score: the model's probability, in (0, 1], of an entity of exactly this type and these words: the sum over the
            valid label sequences that contain it, divided by the sum over all valid ones, and at least the smallest
            normal float64. The scores of entities that share a word add up to at most 1. ``hybridner evaluate``
            measures how often such estimates are right.
        words: its first word and the word after its last, counted in the sentence.
    """

    text: str
    label: str
    start: int
    end: int
    score: float
    words: tuple[int, int]


def argmax_tags(logits: Float[np.ndarray, "num_words num_labels"]) -> Int[np.ndarray, "num_words"]:
    """Choose the most probable label of each word by itself, of equal ones the first; the sequence may be invalid.

    Raises:
        ValueError: logits that are not finite.
    """
    return _emissions([logits], logits.shape[-1]).argmax(axis=1)


def decode_many(
    logits: Sequence[Float[np.ndarray, "num_words num_labels"]], transitions: Transitions
) -> list[Int[np.ndarray, "num_words"]]:
    """Find the most probable label sequence of each sentence, as int64 numbers of labels.

    The logits, one array per sentence, have any float dtype; we compute in float64. For the transitions see
    :func:`hybridner.tagging.lattice.constraint_transitions`.

    Raises:
        ValueError: logits that are not finite, or not as wide as there are labels.
    """
    lengths = np.array([len(one) for one in logits], np.int64)
    emissions = _emissions(logits, len(transitions.end))
    tags = emissions.argmax(axis=1)
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    open_sentences = np.unique(sentence[_loses(tags, lengths, transitions)])
    if len(open_sentences):
        words = np.isin(sentence, open_sentences)
        tags[words] = Lattice(emissions[words], lengths[open_sentences], transitions).viterbi()
    return np.split(tags, np.cumsum(lengths)[:-1]) if len(lengths) else []


def bio_tags(numbers: Sequence[Int[np.ndarray, "num_words"]], labels: Sequence[str]) -> list[list[str]]:
    """Turn numbers of BIO or BIOES labels into BIO tags, one list per sentence.

    BIO labels stay as they are. Of an invalid BIOES sequence, a label that continues no entity starts one.
    """
    tags = [[labels[number] for number in one.tolist()] for one in numbers]
    return [list(to_bio(one, "BIOES")[0]) for one in tags] if is_bioes(labels) else tags


def entities_of(scored: Iterable[tuple[Span, float]], words: Sequence[Word], text: str) -> list[Entity]:
    """Turn scored spans of one sentence's words into entities of the text that the words were cut from."""
    entities = []
    for (label, first, stop), score in scored:
        start, end = words[first].start, words[stop - 1].end
        entities.append(Entity(text[start:end], label, start, end, score, (first, stop)))
    return entities


def scored_spans_many(
    tags: Sequence[Sequence[str]],
    logits: Sequence[Float[np.ndarray, "num_words num_labels"]],
    labels: Sequence[str],
    transitions: Transitions,
) -> list[ScoredSpans]:
    """Find the entities of each sentence as spans of words, each with its score (see :class:`Entity`).

    The tags are BIO; an I- that continues no entity of its type starts one. The logits are as for :func:`decode_many`,
    their columns' ``labels`` and ``transitions`` BIO or BIOES.

    Returns:
        For each sentence its pairs of ``(type, first word, word after the last)`` and score, in order.

    Raises:
        ValueError: logits that are not finite, or not as many tags as rows of them.
    """
    if [len(one) for one in tags] != [len(one) for one in logits]:
        raise ValueError("not as many tags as rows of logits")
    spans = [entity_spans(one) for one in tags]
    with_spans = [i for i, found in enumerate(spans) if found]
    if not with_spans:
        return [[] for _ in spans]
    lengths = np.array([len(logits[i]) for i in with_spans], np.int64)
    lattice = Lattice(_emissions([logits[i] for i in with_spans], len(labels)), lengths, transitions)
    begins = zip(with_spans, (lattice.ends - lengths).tolist(), strict=True)
    placed = [(kind, begin + first, begin + stop) for i, begin in begins for kind, first, stop in spans[i]]
    scores = iter(_span_scores(lattice, placed, labels).tolist())
    return [[(span, next(scores)) for span in found] for found in spans]


def _span_scores(lattice: Lattice, spans: Sequence[Span], labels: Sequence[str]) -> Float[np.ndarray, "num_spans"]:
    """Compute the probability of each span, counted over the words of all sentences and in their order.

    The label sequences that contain an entity have three parts: any labels before it, its own, and any labels after it
    of which the first does not continue it.
    """
    number = {label: i for i, label in enumerate(labels)}
    scheme, transitions = "BIOES" if is_bioes(labels) else "BIO", lattice.transitions
    path = np.full(len(lattice.emissions), -1)
    for kind, start, end in spans:
        bio = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        path[start:end] = [number[label] for label in from_bio(bio, scheme)]
    first, stop = np.array([span[1:] for span in spans]).T
    within = np.setdiff1d(np.flatnonzero(path >= 0), first)
    steps = np.zeros(len(path))
    steps[within] = lattice.emissions[within, path[within]] + transitions.between[path[within - 1], path[within]]

    last = path[stop - 1]
    leaving = np.where([label[:2] in _CONTINUE for label in labels], -np.inf, transitions.between)
    following = (lattice.emissions + lattice.backward)[np.minimum(stop, len(path) - 1)]
    sentence = np.searchsorted(lattice.ends, first, side="right")
    after = np.where(stop == lattice.ends[sentence], transitions.end[last], log_sum_exp(leaving[last] + following))

    log_sums = lattice.forward[first, path[first]] + np.add.reduceat(steps, first) + after
    log_scores = np.minimum(log_sums - lattice.log_partition[sentence], 0)
    return np.maximum(np.exp(log_scores), np.finfo(np.float64).tiny)


def _emissions(logits: Sequence[np.ndarray], num_labels: int) -> Float[np.ndarray, "all_words num_labels"]:
    """Join logits in float64 and subtract each row's largest: probabilities stay the same, sums cannot overflow."""
    joined = np.concatenate(logits) if len(logits) else np.zeros((0, num_labels))
    if joined.ndim != 2 or joined.shape[1] != num_labels:
        raise ValueError(f"logits of shape {joined.shape}, expected [num_words, {num_labels}]")
    wide = joined.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        wide -= wide.max(axis=1, keepdims=True)
    if not np.isfinite(wide).all():
        raise ValueError(f"logits of word {np.isfinite(wide).all(axis=1).argmin()} are not finite")
    return wide


def _loses(tags: np.ndarray, lengths: np.ndarray, transitions: Transitions) -> Bool[np.ndarray, "all_words"]:
    """Mark the words where the transitions along ``tags`` score below the best ones.

    If a sentence's argmax has no such word, no label sequence scores higher, and Viterbi is not needed.
    """
    start, between, end = transitions.start, transitions.between, transitions.end
    ends = np.cumsum(lengths)[lengths > 0]
    first, last = ends - lengths[lengths > 0], ends - 1
    lost = between.max() - between[np.roll(tags, 1), tags]
    lost[first] = start.max() - start[tags[first]]
    lost[last] += end.max() - end[tags[last]]
    return lost > 0
