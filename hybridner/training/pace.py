"""How fast a run trains, and how long it will take."""

import time

_ENOUGH_STEPS = 20
_ENOUGH_SECONDS = 2.0


class Pace:
    """Pieces a second over the steps of shapes that were computed before: compiling is not counted.

    Steps are handed to the device some steps before they end, so the time between two ends holds whatever was
    compiled between them.
    """

    def __init__(self) -> None:
        self._shapes: set[tuple[int, ...]] = set()
        self._last_end = 0.0
        self._warm = False
        self._steps = 0
        self._pieces = 0
        self._seconds = 0.0

    def begin(self, shape: tuple[int, ...]) -> None:
        """A step on a batch of ``shape`` is about to be handed to the device."""
        if shape not in self._shapes:
            self._shapes.add(shape)
            self._warm = False

    def end(self, pieces: int) -> None:
        """The oldest step that has not ended did, with so many pieces."""
        now = time.perf_counter()
        if self._warm:
            self._steps += 1
            self._pieces += pieces
            self._seconds += now - self._last_end
        self._last_end, self._warm = now, True

    def rest(self) -> None:
        """Something else comes before the next step: the time until its end says nothing."""
        self._warm = False

    @property
    def is_known(self) -> bool:
        """Whether enough steps were measured."""
        return self._steps >= _ENOUGH_STEPS and self._seconds >= _ENOUGH_SECONDS

    @property
    def pieces_per_second(self) -> float:
        """The rate of what was measured; 0 before anything was."""
        return self._pieces / self._seconds if self._seconds else 0.0


def duration(seconds: float) -> str:
    """A time span in its two largest units: "48 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    left = max(1, round(seconds))
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    first = next(i for i, (_, size) in enumerate(units) if left >= size)
    parts = []
    for name, size in units[first : first + 2]:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)
