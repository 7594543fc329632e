"""Tables for a terminal of any width and for an HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: the first column contains names, the others contain numbers.

    Attributes:
        header: one name per column.
        rows: one cell per column.
        widths: minimum column widths in a terminal with room for them.
        optional: indices of the columns that a narrow terminal omits, in this order.
        narrow: replacement in a terminal that is too narrow even then.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[int] = ()
    optional: Sequence[int] = ()
    narrow: "Table | None" = None

    def text(self, width: int = WIDTH) -> str:
        """Write lines of at most ``width`` characters, if omitting the optional columns makes that possible."""
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
        """Write the whole table in a box that scrolls on a narrow screen."""
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
