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
        sizes = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        roomy = [max(pair) for pair in zip(sizes, self.widths or sizes, strict=True)]
        columns = list(range(len(sizes)))
        if _width(roomy, columns) <= width:
            sizes = roomy
        for column in self.optional:
            if _width(sizes, columns) > width:
                columns.remove(column)
        if self.narrow is not None and _width(sizes, columns) > width:
            return self.narrow.text(width)
        return "\n".join(
            " ".join(row[i].rjust(sizes[i]) if i else row[i].ljust(sizes[i]) for i in columns).rstrip()
            for row in (self.header, *self.rows)
        )

    def html(self) -> str:
        """Write the whole table in a box that scrolls on a narrow screen."""
        head = _html_row("th", self.header)
        body = "".join(_html_row("td", row) for row in self.rows)
        return f'<div class="wide"><table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def _width(sizes: Sequence[int], columns: Sequence[int]) -> int:
    return sum(sizes[i] for i in columns) + len(columns) - 1


def _html_row(tag: str, row: Sequence[str]) -> str:
    first, *others = map(escape, row)
    cells = "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)
    return f"<tr><{tag}>{first}</{tag}>{cells}</tr>\n"
