"""Choice of the few batch shapes with the least cost: a k-median problem over simulated batches."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

NEVER = np.iinfo(np.int64).max // 2
_MISSED = 0.05
_WORTH_A_COMPILATION = 1.01


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated batches of an epoch, with the cost of each in each candidate shape.

    Attributes:
        full: int64 ``[batches, shapes]``, :data:`NEVER` where the batch does not fit; batches of full size.
        last: the same for the smaller batch at the end of an epoch; no rows if there is none.
        num_full: full batches in an epoch.
        top: the candidate that fits every batch.
        as_long: true for the candidates that fit the corpus's longest sequence.
    """

    full: Int[np.ndarray, "batches shapes"]
    last: Int[np.ndarray, "last_batches shapes"]
    num_full: int
    top: int
    as_long: Bool[np.ndarray, "shapes"]

    def choose(self, max_shapes: int) -> tuple[list[int], int]:
        """Choose at most ``max_shapes`` candidates, ``top`` first; return them and the cost of an epoch.

        Add the candidate that saves most, one at a time, and exchange single candidates while that saves (Teitz and
        Bart 1968). Each shape costs a compilation, paid in the first epoch: return the fewest shapes of nearly the
        least cost, and only shapes that the first epoch almost surely uses.
        """
        chosen = [self.top]
        choices = [chosen]
        while len(choices) < max_shapes:
            chosen = self._sure_ones(self._exchanged([*chosen, self._best_addition(chosen)]))
            choices.append(chosen)
        costs = [self._cost(choice) for choice in choices]
        return next((c, n) for n, c in zip(costs, choices, strict=True) if n <= _WORTH_A_COMPILATION * min(costs))

    def _cost(self, chosen: list[int]) -> int:
        return int(self._epoch(*(part[:, chosen].min(1) for part in (self.full, self.last))))

    def _epoch(self, full: Int[np.ndarray, "batches ..."], last: Int[np.ndarray, "last_batches ..."]) -> np.ndarray:
        """Compute the cost of an epoch, times a constant that keeps it a whole number."""
        drawn = max(len(last), 1)
        return self.num_full * drawn * full.sum(0) + len(full) * last.sum(0)

    def _best_addition(self, chosen: list[int]) -> int:
        current = [part[:, chosen].min(1)[:, None] for part in (self.full, self.last)]
        costs = self._epoch(np.minimum(current[0], self.full), np.minimum(current[1], self.last))
        # A shape that also fits the longest sequence must leave enough batches to ``top``.
        leaves = ~self.as_long | self._sure(self.full == NEVER, self.last == NEVER)
        takes = self._sure(self.full < current[0], self.last < current[1])
        return int(np.where(leaves & takes, costs, NEVER).argmin())

    def _exchanged(self, chosen: list[int]) -> list[int]:
        better = True
        while better:
            better = False
            for i in range(1, len(chosen)):
                others = chosen[:i] + chosen[i + 1 :]
                exchanged = [*others, self._best_addition(others)]
                if self._cost(exchanged) < self._cost(chosen):
                    chosen, better = exchanged, True
        return chosen

    def _sure(
        self, full: Bool[np.ndarray, "batches shapes"], last: Bool[np.ndarray, "last_batches shapes"]
    ) -> Bool[np.ndarray, "shapes"]:
        """Mark the shapes for which a first epoch almost surely has one of the marked batches."""
        missed = (1 - full.mean(0)) ** self.num_full
        return (missed * (1 - last.mean(0)) if len(last) else missed) <= _MISSED

    def _sure_ones(self, chosen: list[int]) -> list[int]:
        """Keep the shapes that the first epoch almost surely uses."""
        while True:
            places = np.arange(len(chosen))
            taken = [part[:, chosen].argmin(1)[:, None] == places for part in (self.full, self.last)]
            sure = self._sure(taken[0], taken[1])
            unsure = [i for i in range(1, len(chosen)) if not sure[i]]
            # Every epoch has the longest sequence, but another shape that fits it may get its batch.
            if not sure[0]:
                unsure += [i for i in range(1, len(chosen)) if self.as_long[chosen[i]]]
            if not unsure:
                return chosen
            chosen = [shape for i, shape in enumerate(chosen) if i != unsure[0]]
