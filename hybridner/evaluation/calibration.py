"""Calibration of entity scores: of the entities with score 0.8, eight in ten should be right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Entities with a score above ``low`` and up to ``high``: their number, mean score and share of right ones.

    ``mean_score`` and ``right`` are None without entities.
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
        ece: expected calibration error (Naeini et al. 2015; Guo et al. 2017): the mean over all entities of the
            distance between a bin's mean score and its share of right entities. In [0, 1]; None without entities.
        mean_score: mean of all ``count`` scores; None without entities.
        right: precision, the share of all entities that are exactly right; None without entities.
        bins: ``BINS`` bins of equal width, from 0 to 1.
    """

    count: int
    ece: float | None
    mean_score: float | None
    right: float | None
    bins: list[Bin]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the name of the measure."""
        return {"measure": f"expected calibration error of entity scores, {BINS} bins of equal width", **asdict(self)}


def calibrate(scores: Sequence[float], right: Sequence[bool]) -> Calibration:
    """Compare the scores of predicted entities, in [0, 1], with the share of them that is right in words and type.

    Raises:
        ValueError: the numbers of scores and answers differ, or a score is outside [0, 1].
    """
    values, hits = np.asarray(scores, np.float64), np.asarray(right, np.float64)
    if values.shape != hits.shape:
        raise ValueError(f"{len(values)} scores and {len(hits)} answers")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"scores from {values.min()} to {values.max()}, expected 0 to 1")
    edges = np.arange(BINS + 1) / BINS
    number = np.searchsorted(edges[1:-1], values)
    bins = []
    for i in range(BINS):
        here = number == i
        bins.append(Bin(float(edges[i]), float(edges[i + 1]), int(here.sum()), _mean(values[here]), _mean(hits[here])))
    gap = sum(b.count * abs((b.mean_score or 0.0) - (b.right or 0.0)) for b in bins)
    return Calibration(len(values), gap / len(values) if len(values) else None, _mean(values), _mean(hits), bins)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
