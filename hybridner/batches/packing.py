"""Packing of sequences into few batch shapes with little padding."""

import math
from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from hybridner.batches.shape_choice import NEVER, Simulation

_SIMULATED_SENTENCES = 12_800
_SIMULATED_BATCHES = (30, 400)  # fewest and most
_COSTS_TWICE = 1024
_LENGTH_MULTIPLE = 8
_FINE_STEPS = 8
_DEVIATIONS = 6
_MULTIPLES, _WORTH_EVEN_ROWS = (8, 4, 2), 1.05


class Shape(NamedTuple):
    """Shape of a batch; each needs a compiled program."""

    rows: int
    length: int

    @property
    def cost(self) -> int:
        """Estimated time of a step, in arbitrary units.

        Longer rows cost more per position, in attention and in the LSTM's sequential steps: in a row of
        ``_COSTS_TWICE`` each position counts twice, which is attention's share of a step on a CPU.
        """
        return self.rows * self.length * (_COSTS_TWICE + self.length)


class Packing(NamedTuple):
    """Row and first column of each sequence, int32 ``[num_sequences]``, and the number of rows used."""

    rows: Int[np.ndarray, "num_sequences"]
    starts: Int[np.ndarray, "num_sequences"]
    num_rows: int


def pack(lengths: Sequence[int] | Int[np.ndarray, "num_sequences"], row_length: int) -> Packing:
    """Pack by best-fit decreasing; the result depends on the arguments alone.

    Each sequence, longest first, goes into the fullest row that still has room (Johnson 1973: at most 11/9 of
    the fewest rows, plus 4).
    """
    sizes = np.asarray(lengths)
    rows, starts = np.zeros(len(sizes), np.int32), np.zeros(len(sizes), np.int32)
    with_room: list[list[int]] = [[] for _ in range(row_length + 1)]
    num_rows, rooms = 0, 0  # bit i of rooms: some row has room for i more
    for index in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[index])
        enough = rooms >> size
        if enough:
            room = size + (enough & -enough).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room, row, num_rows = row_length, num_rows, num_rows + 1
        rows[index], starts[index] = row, row_length - room
        if room > size:
            with_room[room - size].append(row)
            rooms |= 1 << (room - size)
    return Packing(rows, starts, num_rows)


def row_lengths(longest: int, base: int) -> list[int]:
    """Double row lengths from ``base`` until ``longest`` fits."""
    lengths = [base]
    while lengths[-1] < longest:
        lengths.append(2 * lengths[-1])
    return lengths


class ShapePlan:
    """A few batch shapes for batches of ``batch_size`` random sequences of a corpus, with little padding.

    They are planned once, from batches drawn with a fixed seed, and depend on the arguments alone: each epoch, process
    and backend uses the same. A sequence's row and column do not depend on ``row_multiple``: dropout masks are keyed by
    the row, and runs on one and on eight devices must drop the same values. Rows are planned in multiples of 8, which
    2, 4 and 8 devices divide evenly, or of 4, 2 or 1 if that costs one device much less; if the number of devices does
    not divide them, rows of padding follow at the end.

    Attributes:
        shapes: at most ``max_shapes``, cheapest first. A run's first epoch is expected to use and compile them all; the
            last fits the longest sequence and a batch six standard deviations longer than the mean.
    """

    def __init__(
        self,
        lengths: Int[np.ndarray, "num_sequences"],
        batch_size: int,
        row_multiple: int = 1,
        max_shapes: int = 8,
    ) -> None:
        """Plan for sequences of ``lengths`` pieces; rows are a multiple of ``row_multiple`` (devices)."""
        self._row_multiple = row_multiple
        self._planned_multiple = 1
        self._planned, least = self._plan(lengths, batch_size, 1, max_shapes)
        for multiple in _MULTIPLES:
            planned, cost = self._plan(lengths, batch_size, multiple, max_shapes)
            if cost <= _WORTH_EVEN_ROWS * least:
                self._planned_multiple, self._planned = multiple, planned
                break
        self.shapes = tuple(self._padded(shape) for shape in self._planned)

    def _plan(
        self, lengths: Int[np.ndarray, "num_sequences"], batch_size: int, multiple: int, max_shapes: int
    ) -> tuple[tuple[Shape, ...], int]:
        """Choose shapes with rows in a multiple of ``multiple``; return them and the cost of an epoch."""
        rng = np.random.Generator(np.random.Philox(0))
        size = min(batch_size, len(lengths))
        num_full, rest = divmod(len(lengths), size)
        full, last = _draw(lengths, size, rng), _draw(lengths, rest, rng) if rest else []
        choices = _candidate_lengths(full + last, int(lengths.max()))
        needs = np.array([[_rows(batch, length, multiple) for length in choices] for batch in full + last])
        heavy = _heavy_batch(lengths, size, rng)
        most = _round_up(size, multiple)
        long = [length for length in choices if length >= lengths.max()]
        top = min((Shape(min(_rows(heavy, length, multiple), most), length) for length in long), key=lambda s: s.cost)
        by_length = zip(choices, needs.T.tolist(), strict=True)
        needed = {Shape(rows, length) for length, column in by_length for rows in set(column)}
        candidates = [top, *sorted(shape for shape in needed if shape.rows < NEVER and shape.cost < top.cost)]
        columns = np.searchsorted(choices, [shape.length for shape in candidates])
        fits = needs[:, columns] <= [shape.rows for shape in candidates]
        costs = np.where(fits, [shape.cost for shape in candidates], NEVER)
        costs[:, 0] = top.cost
        as_long = np.array([shape.length >= lengths.max() for shape in candidates])
        simulation = Simulation(costs[: len(full)], costs[len(full) :], num_full, 0, as_long)
        chosen, cost = simulation.choose(max_shapes)
        return (*sorted((candidates[i] for i in chosen[1:]), key=lambda s: s.cost), top), cost

    def fit(self, lengths: Int[np.ndarray, "num_sequences"]) -> tuple[Shape, Packing]:
        """Pack the sequences into the cheapest planned shape that fits them.

        A batch that fits none, beyond six standard deviations, gets a new shape.
        """
        longest, total = int(lengths.max()), int(lengths.sum())
        packed = cache(partial(pack, lengths))
        for shape in self._planned:
            may_fit = longest <= shape.length and total <= shape.rows * shape.length
            if may_fit and packed(shape.length).num_rows <= shape.rows:
                return self._padded(shape), packed(shape.length)
        length = max(self._planned[-1].length, _round_up(longest, _LENGTH_MULTIPLE))
        return self._padded(Shape(_rows(lengths, length, self._planned_multiple), length)), pack(lengths, length)

    def _padded(self, shape: Shape) -> Shape:
        return Shape(_round_up(shape.rows, self._row_multiple), shape.length)


def _rows(lengths: Int[np.ndarray, "num_sequences"], row_length: int, multiple: int) -> int:
    """Count the rows that the sequences need, rounded up; :data:`NEVER` if one is longer than a row."""
    if lengths.max() > row_length:
        return NEVER
    return _round_up(pack(lengths, row_length).num_rows, multiple)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _draw(lengths: Int[np.ndarray, "num_sequences"], size: int, rng: np.random.Generator) -> list[np.ndarray]:
    fewest, most = _SIMULATED_BATCHES
    number = min(max(_SIMULATED_SENTENCES // size, fewest), most)
    return [rng.choice(lengths, size, replace=False) for _ in range(number)]


def _candidate_lengths(drawn: list[np.ndarray], longest: int) -> list[int]:
    """List candidate row lengths: fine steps from what nearly every batch needs to three times that, then doublings."""
    shortest = _round_up(int(np.quantile([batch.max() for batch in drawn], 0.05)), _LENGTH_MULTIPLE)
    step = _round_up(-(-shortest // _FINE_STEPS), _LENGTH_MULTIPLE)
    top = _round_up(longest, _LENGTH_MULTIPLE)
    fine = range(shortest, min(3 * shortest, 2 * top), step)
    return sorted({*fine, *row_lengths(top, 3 * shortest)[:-1], top})


def _heavy_batch(lengths: Int[np.ndarray, "num_sequences"], size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw sequences, the longest first, until their total is six standard deviations above a batch's mean."""
    number, total = len(lengths), int(lengths.sum())
    spread = number * int((lengths.astype(np.int64) ** 2).sum()) - total**2
    # Variance of the sum of ``size`` of ``number`` values, drawn without replacement.
    variance = spread / number**2 * size * (number - size) / max(number - 1, 1)
    target = total / number * size + _DEVIATIONS * math.sqrt(variance)
    order = np.concatenate((lengths[[lengths.argmax()]], rng.permutation(lengths)))
    return order[: 1 + int(np.searchsorted(np.cumsum(order), target))]
