"""The amount of work in a run, and its duration."""

import math
from collections import Counter

import numpy as np

from hybridner.batches.batch import epoch_order
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import Shape, ShapePlan
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.model.size import training_flops

_SAMPLED_BATCHES = 50
_FORWARD_SHARE = 1 / 3  # of a training step's work; the backward pass is the rest


class Workload:
    """Steps, word pieces and floating-point operations of a run.

    Attributes:
        batches_per_epoch: steps of a whole epoch.
        total_steps: steps of the whole run.
        pieces: word pieces in the batches of the whole run.
        flops: their multiplications and additions, forward and backward.
    """

    def __init__(self, options: Options, config: ModelConfig, encoded: dict[str, Encoded], plan: ShapePlan) -> None:
        self._options, self._encoded, self._plan = options, encoded, plan
        self.batches_per_epoch = math.ceil(len(encoded["train"]) / options.optimization.batch_size)
        limit = options.optimization.epochs * self.batches_per_epoch
        self.total_steps = min(limit, options.optimization.max_steps or limit)
        lengths = encoded["train"].lengths.astype(np.float64)
        epochs = self.total_steps / self.batches_per_epoch
        self.pieces = round(epochs * lengths.sum())
        self.flops = epochs * training_flops(config, lengths)

    def sampled_shapes(self) -> tuple[Counter[Shape], int]:
        """Count the shapes of the first epoch's first batches, and the word pieces in them."""
        train, size = self._encoded["train"], self._options.optimization.batch_size
        order = epoch_order(len(train), self._options.optimization.seed, 0)[: size * _SAMPLED_BATCHES]
        batches = [train.lengths[order[first : first + size]] for first in range(0, len(order), size)]
        return Counter(self._plan.fit(lengths)[0] for lengths in batches), sum(int(b.sum()) for b in batches)

    def seconds_left(self, steps: int, pieces_per_second: float) -> float:
        """Estimate the seconds of the last ``steps`` of the run at this rate of training, scoring included."""
        left = steps / self.total_steps
        evaluations = math.ceil(self.total_steps / self.batches_per_epoch) * left
        scored = {name: int(split.lengths.sum()) for name, split in self._encoded.items() if name != "train"}
        pieces = left * self.pieces + _FORWARD_SHARE * (evaluations * scored["valid"] + scored.get("test", 0))
        return pieces / pieces_per_second


def duration(seconds: float) -> str:
    """Write a time span in its two largest units: "48 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    left = max(1, round(seconds))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(parts[:2]).strip()
