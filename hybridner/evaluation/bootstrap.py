"""How far a score may lie off: the bootstrap over documents (Efron and Tibshirani 1993), alone and paired.

A resample draws as many documents as there are, with replacement. Sentences of one document share their names and
their topic, so documents are what varies from one test set to another; the interval over sentences is too narrow.
Where there are fewer than ``FEWEST_DOCUMENTS`` documents, sentences are drawn all the same, and that is said.

Documents with the same counts are the same to a resample. So one multinomial draw over the different rows of counts
stands for drawing the documents one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from hybridner.corpora.schemes import entity_spans

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0
FEWEST_DOCUMENTS = 10
_DRAWN_AT_ONCE = 4_000_000  # numbers in memory
Tags = Sequence[Sequence[str]]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Units:
    """What a resample draws.

    Attributes:
        kind: "documents", or "sentences" where there are too few documents.
        of_sentence: int64, the number of the unit that each sentence belongs to, from 0.
        count: number of units.
    """

    kind: Literal["documents", "sentences"]
    of_sentence: Int[np.ndarray, "num_sentences"]
    count: int

    def to_dict(self) -> dict[str, Any]:
        """What an interval over these units is made with, as plain values."""
        return {
            "unit": self.kind,
            "units": self.count,
            "resamples": RESAMPLES,
            "confidence": CONFIDENCE,
            "seed": SEED,
        }

    def __str__(self) -> str:
        drawn = f"{self.count:,} {self.kind if self.count != 1 else self.kind.removesuffix('s')}"
        return f"{drawn}, {RESAMPLES:,} resamples, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of A less F1 of B on the same data, and how sure that is.

    Attributes:
        difference: on the data as it is.
        interval: bounds of the middle 95 % of its resamples.
        share_a_not_better: share of the resamples in which A's F1 is not above B's, equal ones included. One less this
            share is what Koehn (2004) reports as the confidence that A is better. It is not a p-value; where the
            resamples lie evenly about ``difference`` it comes near to the one of Berg-Kirkpatrick et al. (2012). It
            speaks of other texts of this kind, not of other seeds of training.
    """

    difference: float
    interval: Interval
    share_a_not_better: float


def resampling_units(num_sentences: int, documents: Sequence[int] | None) -> Units:
    """Documents if there are at least ``FEWEST_DOCUMENTS``, else sentences.

    Args:
        num_sentences: sentences in the data.
        documents: the document each sentence belongs to, any numbers; None if that is not known.

    Raises:
        ValueError: not as many documents as sentences.
    """
    if documents is not None:
        if len(documents) != num_sentences:
            raise ValueError(f"{len(documents)} documents for {num_sentences} sentences")
        found, of_sentence = np.unique(np.asarray(documents, np.int64), return_inverse=True)
        if len(found) >= FEWEST_DOCUMENTS:
            return Units("documents", of_sentence, len(found))
    return Units("sentences", np.arange(num_sentences), num_sentences)


def entity_counts(gold: Tags, predicted: Tags, units: Units) -> Int[np.ndarray, "num_units 3"]:
    """Correct, predicted and gold entities of each unit, as conlleval counts them.

    Raises:
        ValueError: different numbers of sentences.
    """
    counts = np.zeros((units.count, 3), np.int64)
    for unit, one, other in zip(units.of_sentence.tolist(), gold, predicted, strict=True):
        right, found = set(entity_spans(one)), set(entity_spans(other))
        counts[unit] += (len(right & found), len(found), len(right))
    return counts


def f1_interval(
    gold: Tags,
    predicted: Tags,
    documents: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """The 95 % percentile interval of micro F1.

    Args:
        gold: BIO tags, a list a sentence.
        predicted: as many.
        documents: the document each sentence belongs to; without them, or with few, sentences are drawn.
        resamples: how many.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        Its lower and upper bound. Both are 0 for data without a sentence.

    Raises:
        ValueError: different numbers of sentences.
    """
    units = resampling_units(len(gold), documents)
    return interval_of_counts(entity_counts(gold, predicted, units), resamples, seed)


def interval_of_counts(
    counts: Int[np.ndarray, "num_units 3"], resamples: int = RESAMPLES, seed: int = SEED
) -> Interval:
    """The 95 % percentile interval of micro F1 from what :func:`entity_counts` gives."""
    return _middle(f1_of_counts(resampled(counts, resamples, seed)))


def paired_difference(
    counts_a: Int[np.ndarray, "num_units 3"],
    counts_b: Int[np.ndarray, "num_units 3"],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """The paired bootstrap: each resample draws the same units for A and for B.

    Args:
        counts_a: what :func:`entity_counts` gives for A.
        counts_b: for B, over the same units.
        resamples: how many.
        seed: of the draws.

    Raises:
        ValueError: different numbers of units.
    """
    if len(counts_a) != len(counts_b):
        raise ValueError(f"{len(counts_a)} units of A and {len(counts_b)} of B")
    draws = resampled(np.hstack([counts_a, counts_b]), resamples, seed)
    differences = f1_of_counts(draws[:, :3]) - f1_of_counts(draws[:, 3:])
    whole = f1_of_counts(counts_a.sum(0, keepdims=True)) - f1_of_counts(counts_b.sum(0, keepdims=True))
    return Difference(float(whole[0]), _middle(differences), float((differences <= 0).mean()))


def resampled(
    counts: Int[np.ndarray, "num_units columns"], resamples: int, seed: int
) -> Int[np.ndarray, "resamples columns"]:
    """Sums of the columns over the units of each resample."""
    if len(counts) == 0:
        return np.zeros((resamples, counts.shape[1]), np.int64)
    rows, multiplicity = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.Generator(np.random.Philox(seed))
    at_once = max(1, _DRAWN_AT_ONCE // len(rows))
    sums = [
        rng.multinomial(len(counts), multiplicity / len(counts), size=min(at_once, resamples - start)) @ rows
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(sums)


def f1_of_counts(counts: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """F1 of rows of correct, predicted and gold entities; 0 where there is none."""
    correct, entities = counts[:, 0], counts[:, 1] + counts[:, 2]
    return 2 * correct / np.maximum(entities, 1)


def _middle(values: Float[np.ndarray, "resamples"]) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
