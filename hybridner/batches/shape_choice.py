"""The few batch shapes that a corpus's batches cost least with: a k-median problem over simulated batches."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

NEVER = np.iinfo(np.int64).max // 2
_MISSED = 0.05
_WORTH_A_COMPILATION = 1.01


@dataclass(frozen=True, slots=True)
class Simulation:
    """Simulated batches of an epoch, and what each costs in each candidate shape.

    Attributes:
        full: int64 ``[batches, shapes]``, :data:`NEVER` where the batch does not fit; batches of full size.
        last: the same for the smaller batch at the end of an epoch; no rows where there is none.
        num_full: full batches in an epoch.
        top: the candidate that holds every batch.
        as_long: whether the corpus's longest sequence fits, for each candidate.
    """

    full: Int[np.ndarray, "batches shapes"]
    last: Int[np.ndarray, "last_batches shapes"]
    num_full: int
    top: int
    as_long: Bool[np.ndarray, "shapes"]

    def choose(self, max_shapes: int) -> tuple[list[int], int]:
        """At most ``max_shapes`` candidates, ``top`` first, and what an epoch costs in them.

        They are added one by one, each time the one that saves most, and exchanged one for one while that saves (Teitz
        and Bart 1968). Each shape costs a compilation, so the fewest are taken that cost nearly the least; and it
        should be paid in the first epoch, so none is taken that may not occur there.
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
        """What an epoch costs, in whole numbers, times a constant."""
        drawn = max(len(last), 1)
        return self.num_full * drawn * full.sum(0) + len(full) * last.sum(0)

    def _best_addition(self, chosen: list[int]) -> int:
        held = [part[:, chosen].min(1)[:, None] for part in (self.full, self.last)]
        costs = self._epoch(np.minimum(held[0], self.full), np.minimum(held[1], self.last))
        # Where the longest sequence fits as well, enough must be left to the shape that holds every batch.
        leaves = ~self.as_long | self._sure(self.full == NEVER, self.last == NEVER)
        takes = self._sure(self.full < held[0], self.last < held[1])
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
        """Whether a first epoch is as good as sure to have one of the batches marked, for each shape."""
        missed = (1 - full.mean(0)) ** self.num_full
        return (missed * (1 - last.mean(0)) if len(last) else missed) <= _MISSED

    def _sure_ones(self, chosen: list[int]) -> list[int]:
        """Those that are as good as sure to occur in the first epoch."""
        while True:
            places = np.arange(len(chosen))
            taken = [part[:, chosen].argmin(1)[:, None] == places for part in (self.full, self.last)]
            sure = self._sure(taken[0], taken[1])
            unsure = [i for i in range(1, len(chosen)) if not sure[i]]
            # The longest sequence is in a batch of every epoch; where it fits another shape as well, that may take it.
            if not sure[0]:
                unsure += [i for i in range(1, len(chosen)) if self.as_long[chosen[i]]]
            if not unsure:
                return chosen
            chosen = [shape for i, shape in enumerate(chosen) if i != unsure[0]]
