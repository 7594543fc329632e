"""Calibration of entity scores: of the entities with score 0.8, eight in ten should be right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Entities with a score above ``low`` and up to ``high``.

    Attributes:
        low: lower bound, outside the bin.
        high: upper bound, inside the bin.
        count: entities in it.
        mean_score: of these; None if there are none.
        right: share of them that are exactly right; None if there are none.
    """

    low: float
    high: float
    count: int
    mean_score: float | None
    right: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Comparison of entity scores with the share of entities that are right.

    Attributes:
        count: entities.
        ece: expected calibration error (Naeini et al. 2015; Guo et al. 2017): the mean over all entities of the
            distance between a bin's mean score and its share of right entities. In [0, 1]; None without entities.
        mean_score: of all; None without entities.
        right: share of all that are exactly right, their precision; None without entities.
        bins: ``BINS`` of equal width, from 0 to 1.
    """

    count: int
    ece: float | None
    mean_score: float | None
    right: float | None
    bins: list[Bin]

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values, with the name of the measure."""
        return {"measure": f"expected calibration error of entity scores, {BINS} bins of equal width", **asdict(self)}


def calibrate(scores: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Compare the scores of predicted entities with the share that is exactly right, in words and type.

    Args:
        scores: in [0, 1].
        right: for each score, True if its entity is exactly right.

    Raises:
        ValueError: different numbers of scores and answers, or a score outside [0, 1].
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    if values.shape != hits.shape:
        raise ValueError(f"{len(values)} scores and {len(hits)} answers")
    if len(values) and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"scores from {values.min()} to {values.max()}, expected 0 to 1")
    edges = np.arange(BINS + 1) / BINS
    number = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, BINS - 1)
    bins = []
    gap = 0.0
    for i in range(BINS):
        here = number == i
        count = int(here.sum())
        mean, share = (float(values[here].mean()), float(hits[here].mean())) if count else (None, None)
        if mean is not None and share is not None:
            gap += count * abs(mean - share)
        bins.append(Bin(float(edges[i]), float(edges[i + 1]), count, mean, share))
    if not len(values):
        return Calibration(0, None, None, None, bins)
    return Calibration(len(values), gap / len(values), float(values.mean()), float(hits.mean()), bins)
