"""Bootstrap intervals of F1 over documents (Efron and Tibshirani 1993), for one model and for a pair.

A resample draws as many documents as the data have, with replacement. Sentences of one document share names and topic,
so an interval over sentences would be too narrow. We draw sentences only if there are fewer than ``FEWEST_DOCUMENTS``
documents; reports name the unit. Documents with equal counts are interchangeable, so we replace drawing document by
document with one multinomial draw over the different rows of counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from hybridner.corpora.schemes import entity_spans
from hybridner.evaluation.scoring import Tags

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0
FEWEST_DOCUMENTS = 10
_DRAWN_AT_ONCE = 4_000_000  # numbers in memory
Interval = tuple[float, float]
Counts = Int[np.ndarray, "num_units 3"]


@dataclass(frozen=True, slots=True)
class Units:
    """Documents, or sentences if there are too few documents, that a resample draws.

    Attributes:
        of_sentence: int64, index of each sentence's unit.
    """

    kind: Literal["documents", "sentences"]
    of_sentence: Int[np.ndarray, "num_sentences"]
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the settings of an interval over these units as plain values."""
        return {"unit": self.kind, "units": self.count, "resamples": RESAMPLES, "confidence": CONFIDENCE, "seed": SEED}

    def __str__(self) -> str:
        kind = self.kind if self.count != 1 else self.kind.removesuffix("s")
        return f"{self.count:,} {kind}, {RESAMPLES:,} resamples, seed {SEED}"


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of A less F1 of B on the same data, with its interval.

    Attributes:
        difference: difference on the data themselves.
        interval: bounds of the middle 95 % of the resamples.
        share_a_not_better: share of the resamples in which A's F1 is at most B's. Koehn (2004) reports one minus this
            share as the confidence that A is better. It is not a p-value, but is close to that of Berg-Kirkpatrick et
            al. (2012) if the resamples are symmetric about ``difference``. It is about other texts of this kind, not
            about other training seeds.
    """

    difference: float
    interval: Interval
    share_a_not_better: float


def resampling_units(num_sentences: int, documents: Sequence[int]) -> Units:
    """Choose the ``documents`` of the sentences if at least ``FEWEST_DOCUMENTS`` differ, else the sentences."""
    found, of_sentence = np.unique(np.asarray(documents, np.int64), return_inverse=True)
    if len(found) >= FEWEST_DOCUMENTS:
        return Units("documents", of_sentence, len(found))
    return Units("sentences", np.arange(num_sentences), num_sentences)


def entity_counts(gold: Tags, predicted: Tags, units: Units) -> Counts:
    """Count the correct, predicted and gold entities of each unit as conlleval does, int64.

    Raises:
        ValueError: the numbers of sentences differ.
    """
    counts = np.zeros((units.count, 3), np.int64)
    for unit, one, other in zip(units.of_sentence.tolist(), gold, predicted, strict=True):
        right, found = set(entity_spans(one)), set(entity_spans(other))
        counts[unit] += (len(right & found), len(found), len(right))
    return counts


def interval_of_counts(counts: Counts, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """Compute the 95 % percentile interval of micro F1 from the counts of :func:`entity_counts`."""
    return _middle(f1_of_counts(resampled(counts, resamples, seed)))


def paired_difference(counts_a: Counts, counts_b: Counts, resamples: int = RESAMPLES) -> Difference:
    """Run the paired bootstrap on counts of :func:`entity_counts`: each resample draws the same units for A and for B.

    Raises:
        ValueError: the numbers of units differ.
    """
    counts = np.hstack([counts_a, counts_b])
    whole, differences = (
        f1_of_counts(rows[:, :3]) - f1_of_counts(rows[:, 3:])
        for rows in (counts.sum(0, keepdims=True), resampled(counts, resamples, SEED))
    )
    return Difference(float(whole[0]), _middle(differences), float((differences <= 0).mean()))


def resampled(
    counts: Int[np.ndarray, "num_units columns"], resamples: int, seed: int
) -> Int[np.ndarray, "resamples columns"]:
    """Draw resamples of units, and sum each one's counts."""
    if len(counts) == 0:
        return np.zeros((resamples, counts.shape[1]), np.int64)
    rows, multiplicity = np.unique(counts, axis=0, return_counts=True)
    rng = np.random.Generator(np.random.Philox(seed))
    at_once = max(1, _DRAWN_AT_ONCE // len(rows))
    sizes = (min(at_once, resamples - start) for start in range(0, resamples, at_once))
    return np.concatenate([rng.multinomial(len(counts), multiplicity / len(counts), size) @ rows for size in sizes])


def f1_of_counts(counts: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n"]:
    """Compute F1 from rows of correct, predicted and gold entities; 0 for a row without entities."""
    return 2 * counts[:, 0] / np.maximum(counts[:, 1] + counts[:, 2], 1)


def _middle(values: Float[np.ndarray, "resamples"]) -> Interval:
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
