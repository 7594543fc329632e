"""A table that is written once and read in a terminal of any width and on a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text: the first column of names, the others of numbers.

    Attributes:
        header: one name a column.
        rows: as many cells each.
        widths: least widths of the columns in a terminal that has room for them.
        optional: numbers of the columns that a narrow terminal does without, the first one first.
        narrow: the table that stands there in a terminal too narrow for this one.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[int] = ()
    optional: Sequence[int] = ()
    narrow: "Table | None" = None

    def text(self, width: int = WIDTH) -> str:
        """Lines of at most ``width`` characters, if leaving out the optional columns can make them so."""
        columns = list(range(len(self.header)))
        sizes = [max(a, b) for a, b in zip(self._sizes(), self.widths or [0] * len(columns), strict=True)]
        if _width(sizes, columns) > width:
            sizes = self._sizes()
        for column in self.optional:
            if _width(sizes, columns) <= width:
                break
            columns.remove(column)
        if self.narrow is not None and _width(sizes, columns) > width:
            return self.narrow.text(width)
        return "\n".join(
            " ".join(row[i].rjust(sizes[i]) if i else row[i].ljust(sizes[i]) for i in columns).rstrip()
            for row in (self.header, *self.rows)
        )

    def html(self) -> str:
        """The whole table, in a box of its own that scrolls where the screen is narrower."""
        number = ["" if i == 0 else ' class="number"' for i in range(len(self.header))]
        head = "".join(f"<th{c}>{escape(cell)}</th>" for c, cell in zip(number, self.header, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td{c}>{escape(cell)}</td>" for c, cell in zip(number, row, strict=True)) + "</tr>\n"
            for row in self.rows
        )
        return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'

    def _sizes(self) -> list[int]:
        return [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]


def _width(sizes: Sequence[int], columns: Sequence[int]) -> int:
    return sum(sizes[i] for i in columns) + len(columns) - 1
