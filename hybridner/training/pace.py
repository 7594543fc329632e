"""The rate at which a run trains."""

import time

_ENOUGH_STEPS = 20
_ENOUGH_SECONDS = 2.0


class Pace:
    """A measurement of pieces per second that leaves out the steps that compile.

    Steps run asynchronously, so the time between the ends of two steps includes any compilation in between: a step
    counts only if no new shape has begun since the step before it ended.
    """

    def __init__(self) -> None:
        self._shapes: set[tuple[int, ...]] = set()
        self._last_end: float | None = None
        self._steps = self._pieces = 0
        self._seconds = 0.0

    def begin(self, shape: tuple[int, ...]) -> None:
        """Record that the device receives a batch of ``shape``."""
        if shape not in self._shapes:
            self._shapes.add(shape)
            self.rest()

    def end(self, pieces: int) -> None:
        """Record that the oldest step in flight, of this many ``pieces``, has ended."""
        now = time.perf_counter()
        if self._last_end is not None:
            self._steps += 1
            self._pieces += pieces
            self._seconds += now - self._last_end
        self._last_end = now

    def rest(self) -> None:
        """Leave out the time until the next step ends, in which the run does something else."""
        self._last_end = None

    @property
    def is_known(self) -> bool:
        """Return whether enough steps were measured."""
        return self._steps >= _ENOUGH_STEPS and self._seconds >= _ENOUGH_SECONDS

    @property
    def pieces_per_second(self) -> float:
        """Return the measured rate, or 0 before the first measurement."""
        return self._pieces / self._seconds if self._seconds else 0.0
