"""A linear chain over the labels of each sentence: Viterbi's algorithm and the forward-backward sums.

The score of a label sequence is the sum of the emissions of its words and of the transitions along it; its probability
is proportional to the exponential of that score (Rabiner 1989; Lafferty et al. 2001). All sums are kept as logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from hybridner.corpora.labels import is_bioes
from hybridner.errors import InputError

_BLOCK = 1 << 17  # float64 numbers of one block of rows; they fit a core's cache
_TINY = 1e-280  # below it, terms of a sum may have underflowed


@dataclass(frozen=True, slots=True, eq=False)
class Transitions:
    """Scores of labels that follow each other, float64; -inf forbids a transition.

    Attributes:
        start: of each label at a sentence's first word.
        between: ``between[i, j]`` of label j after label i.
        end: of each label at a sentence's last word.
    """

    start: Float[np.ndarray, "num_labels"]
    between: Float[np.ndarray, "num_labels num_labels"]
    end: Float[np.ndarray, "num_labels"]


def constraint_transitions(labels: Sequence[str]) -> Transitions:
    """Build the transitions that allow exactly the valid sequences: 0 where a label may follow, -inf elsewhere.

    The labels, BIO or BIOES, are in the order of the logits' columns.

    Raises:
        InputError: a label that is neither BIO nor BIOES, a duplicate, or labels of which no valid sequence exists.
    """
    prefixes, types = np.array([label[:1] for label in labels]), np.array([label[2:] for label in labels])
    for label in labels:
        if label != "O" and not (label[:2] in ("B-", "I-", "E-", "S-") and len(label) > 2):
            raise InputError(f"label {label!r} is not BIO or BIOES: expected O, or B-, I-, E- or S- and a type")
    if len(set(labels)) < len(labels):
        raise InputError(f"labels {list(labels)} contain a duplicate; expected each label once")
    continues = np.isin(prefixes, ("I", "E"))
    may_continue = np.isin(prefixes, ("B", "I"))
    must_continue = may_continue & is_bioes(labels)
    if not (~continues & ~must_continue).any():
        raise InputError(
            f"labels {list(labels)} make no valid sequence; expected O, B-TYPE or (BIOES) S-TYPE among them"
        )
    same_entity = may_continue[:, None] & (types[:, None] == types)
    return Transitions(
        _score_of(~continues),
        _score_of(np.where(continues, same_entity, ~must_continue[:, None])),
        _score_of(~must_continue),
    )


def model_transitions(labels: Sequence[str], weights: Mapping[str, np.ndarray]) -> Transitions:
    """Build the transitions of a model: the valid ones, with the scores that a CRF has learned.

    Raises:
        InputError: as for :func:`constraint_transitions`.
    """
    allowed = constraint_transitions(labels)
    if "crf.between" not in weights:
        return allowed
    learned = (weights[f"crf.{name}"].astype(np.float64) for name in ("start", "between", "end"))
    return Transitions(*map(np.add, (allowed.start, allowed.between, allowed.end), learned))


def log_sum_exp(scores: Float[np.ndarray, "*batch terms"]) -> Float[np.ndarray, "*batch"]:
    """Compute ``log(sum(exp(scores)))`` over the last axis without overflow; -inf where every term is -inf."""
    largest = scores.max(axis=-1, keepdims=True)
    largest[np.isneginf(largest)] = 0
    with np.errstate(divide="ignore"):
        sums: np.ndarray = np.log(np.exp(scores - largest).sum(axis=-1))
    return sums + largest[..., 0]


class Lattice:
    """All label sequences of many sentences with their scores.

    Results list the words of one sentence after the other, as the emissions do. A step of a recursion takes one word of
    every sentence: arrays in step order contain all first words, then all second words, and so on. In each step the
    longest sentence comes first, so the sentences that have a next word are the first rows.

    Attributes:
        ends: for each sentence, the number of words up to its end.
    """

    def __init__(
        self,
        emissions: Float[np.ndarray, "all_words num_labels"],
        lengths: Int[np.ndarray, "num_sentences"],
        transitions: Transitions,
    ) -> None:
        """Put the words into step order.

        ``emissions`` are finite scores of each word's labels, such as logits. There is at least one sentence, and at
        least one word in each.
        """
        self.emissions, self.transitions = emissions, transitions
        self.lengths, self.ends = lengths, np.cumsum(lengths)
        sizes = len(lengths) - np.cumsum(np.bincount(lengths))[:-1]
        tops = np.cumsum(sizes) - sizes
        rank = np.empty_like(lengths)
        rank[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths))
        position = np.arange(len(emissions)) - np.repeat(self.ends - lengths, lengths)
        self._row = tops[position] + np.repeat(rank, lengths)
        self._steps = [slice(top, top + size) for top, size in zip(tops.tolist(), sizes.tolist(), strict=True)]
        self._pairs = list(pairwise(self._steps))
        self._emissions = np.empty(emissions.shape)
        self._emissions[self._row] = emissions

    def viterbi(self) -> Int[np.ndarray, "all_words"]:
        """Find the highest-scoring label sequence of each sentence; of equal predecessors the first."""
        between, end = self.transitions.between, self.transitions.end
        came_from = np.zeros(self._emissions.shape, np.int64)
        path = np.empty(len(self._emissions), np.int64)
        scores = self.transitions.start + self._emissions[self._steps[0]]
        for before, step in self._pairs:
            size = step.stop - step.start
            path[before.start + size : before.stop] = (scores[size:] + end).argmax(axis=1)
            scores = scores[:size]
            best = _best_before(scores, between)
            scores = np.take_along_axis(scores, best, 1) + between[best, np.arange(len(end))] + self._emissions[step]
            came_from[step] = best
        path[self._steps[-1]] = (scores + end).argmax(axis=1)
        for before, step in reversed(self._pairs):
            rows = np.arange(step.start, step.stop)
            path[before][: len(rows)] = came_from[rows, path[step]]
        return path[self._row]

    @cached_property
    def forward(self) -> Float[np.ndarray, "all_words num_labels"]:
        """Log of the sum over the label sequences from the sentence's start to this label, its emission included."""
        sums = self._emissions.copy()
        sums[self._steps[0]] += self.transitions.start
        for before, step in self._pairs:
            size = step.stop - step.start
            sums[step] += _log_product(sums[before][:size], self.transitions.between)
        return sums[self._row]

    @cached_property
    def backward(self) -> Float[np.ndarray, "all_words num_labels"]:
        """Log of the sum over the label sequences from this label to the sentence's end, its emission left out."""
        sums = np.tile(self.transitions.end, (len(self._emissions), 1))
        for before, step in reversed(self._pairs):
            following = sums[step] + self._emissions[step]
            sums[before][: len(following)] = _log_product(following, self.transitions.between.T)
        return sums[self._row]

    @cached_property
    def log_partition(self) -> Float[np.ndarray, "num_sentences"]:
        """Log of the sum over all label sequences of a sentence."""
        return log_sum_exp(self.forward[self.ends - 1] + self.transitions.end)

    @property
    def marginals(self) -> Float[np.ndarray, "all_words num_labels"]:
        """Probability of each label at each word, over all label sequences."""
        log_partition = np.repeat(self.log_partition, self.lengths)[:, None]
        marginals: np.ndarray = np.exp(self.forward + self.backward - log_partition)
        return marginals


def _score_of(allowed: np.ndarray) -> np.ndarray:
    return np.where(allowed, 0.0, -np.inf)


def _best_before(scores: np.ndarray, between: np.ndarray) -> Int[np.ndarray, "num_rows num_labels"]:
    """Find the label i with the largest ``scores[n, i] + between[i, j]`` for all n and j, a block of rows at a time."""
    rows = max(1, _BLOCK // between.size)
    blocks = [(scores[i : i + rows, None] + between.T).argmax(axis=2) for i in range(0, len(scores), rows)]
    return np.concatenate(blocks)


def _log_product(scores: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "num_rows num_labels"]:
    """Compute ``log_sum_exp(scores[n] + weights[:, j])`` for all n and j as a product of matrices.

    Sums below ``_TINY`` are computed again, term by term.
    """
    largest, heaviest = scores.max(axis=1, keepdims=True), weights.max()
    sums = np.exp(scores - largest) @ np.exp(weights - heaviest)
    with np.errstate(divide="ignore"):
        logs: np.ndarray = np.log(sums) + largest + heaviest
    row, label = np.nonzero(sums < _TINY)
    logs[row, label] = log_sum_exp(scores[row] + weights.T[label])
    return logs
