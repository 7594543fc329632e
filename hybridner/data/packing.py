"""Putting sequences of many lengths into few rectangles with little padding."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

_SIMULATED_BATCHES = 400
_SMALLEST_ROW = 16


class Shape(NamedTuple):
    """Shape of a batch: what a compiled program is made for."""

    rows: int
    length: int


class Packing(NamedTuple):
    """Where each sequence stands: its row and first column, int32 ``[num_sequences]``, and rows used."""

    rows: Int[np.ndarray, "num_sequences"]
    starts: Int[np.ndarray, "num_sequences"]
    num_rows: int


def pack(lengths: Sequence[int] | Int[np.ndarray, "num_sequences"], row_length: int) -> Packing:
    """Best-fit decreasing bin packing, a function of ``lengths`` alone.

    Each sequence, longest first, goes into the fullest row that still has room (Johnson 1973: at most 11/9 of
    the fewest rows, plus 4).
    """
    sizes = np.asarray(lengths)
    rows, starts = np.zeros(len(sizes), np.int32), np.zeros(len(sizes), np.int32)
    with_room: list[list[int]] = [[] for _ in range(row_length + 1)]
    num_rows = 0
    for index in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[index])
        room = next((room for room in range(size, row_length) if with_room[room]), row_length)
        if room == row_length:
            row, num_rows = num_rows, num_rows + 1
        else:
            row = with_room[room].pop()
        rows[index], starts[index] = row, row_length - room
        with_room[room - size].append(row)
    return Packing(rows, starts, num_rows)


def row_lengths(longest: int, base: int) -> list[int]:
    """Row lengths that grow twofold from ``base`` until ``longest`` fits."""
    ladder = [base]
    while ladder[-1] < longest:
        ladder.append(2 * ladder[-1])
    return ladder


class ShapePlan:
    """A few batch shapes that batches of ``batch_size`` random sequences of a corpus fit with little waste.

    The shapes are planned once, from batches drawn with a fixed seed, so that they are the same in each epoch, in
    each process and in both twins.

    Attributes:
        shapes: at most ``max_shapes`` of them, smallest first.
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
        base = row_lengths(int(np.quantile(lengths, 0.99)), _SMALLEST_ROW)[-1]
        self._ladder = row_lengths(int(lengths.max()), base)
        rng = np.random.Generator(np.random.Philox(0))
        needs: Counter[Shape] = Counter()
        for _ in range(_SIMULATED_BATCHES):
            drawn = lengths[rng.choice(len(lengths), min(batch_size, len(lengths)), replace=False)]
            length = self._row_length(int(drawn.max()))
            needs[Shape(self._round(pack(drawn, length).num_rows), length)] += 1
        if not any(need.length == self._ladder[-1] for need in needs):  # the longest are rare, and will come
            top = np.sort(lengths)[-1:].tolist() + rng.choice(lengths, min(batch_size, len(lengths)) - 1).tolist()
            needs[Shape(self._round(pack(top, self._ladder[-1]).num_rows), self._ladder[-1])] += 1
        self.shapes = _choose(needs, max_shapes, row_multiple)

    def fit(self, lengths: Int[np.ndarray, "num_sequences"]) -> tuple[Shape, Packing]:
        """The smallest planned shape that holds the sequences, and where they go.

        A batch that fits none (rarer than one in the batches simulated) gets a shape of its own.
        """
        length = self._row_length(int(lengths.max()))
        packing = pack(lengths, length)
        for shape in self.shapes:
            if shape.length == length and shape.rows >= packing.num_rows:
                return shape, packing
        for shape in self.shapes:
            if shape.length > length:
                longer = pack(lengths, shape.length)
                if longer.num_rows <= shape.rows:
                    return shape, longer
        return Shape(self._round(packing.num_rows), length), packing

    def _row_length(self, longest: int) -> int:
        return next(
            (length for length in self._ladder if length >= longest),
            row_lengths(longest, self._ladder[-1])[-1],
        )

    def _round(self, rows: int) -> int:
        return -(-rows // self._row_multiple) * self._row_multiple


def _choose(needs: Counter[Shape], max_shapes: int, row_multiple: int) -> tuple[Shape, ...]:
    """Merge needed shapes until few are left: each time the merge that adds the least padding.

    A merged need is served by the larger shape of its row length. Merging goes on beyond ``max_shapes`` while all
    merges together add less than 2 % of the area, since each shape costs a compilation.
    """
    shapes = sorted(needs.items(), key=lambda item: (item[0].length, item[0].rows))
    merged = [(Shape(s.rows, s.length), n) for s, n in shapes]
    area = sum(s.rows * s.length * n for s, n in merged)
    added = 0
    while True:
        costs = [
            ((b.rows - a.rows) * a.length * n, i)
            for i, ((a, n), (b, _)) in enumerate(pairwise(merged))
            if a.length == b.length
        ]
        if not costs:
            break
        cost, i = min(costs)
        if len(merged) <= max_shapes and added + cost > 0.02 * area:
            break
        added += cost
        merged[i : i + 2] = [(merged[i + 1][0], merged[i][1] + merged[i + 1][1])]
    largest = {s.length: s.rows for s, _ in merged}
    margin = {length: -(-rows // 10 // row_multiple) * row_multiple for length, rows in largest.items()}
    return tuple(
        Shape(s.rows + margin[s.length] if s.rows == largest[s.length] else s.rows, s.length) for s, _ in merged
    )
