from html.parser import HTMLParser

import pytest

from hybridner.display.tables import Table

NARROW = Table(("gold → predicted", "entities"), [("A → B", "1")])
TABLE = Table(
    ("", "precision", "F1", "correct"),
    [("PER", "0.5000", "0.2500", "1,000"), ("LOC", "1.0000", "0.7500", "9")],
    widths=(10, 9, 7, 8),
    optional=(3, 1),
    narrow=NARROW,
)


def test_a_wide_terminal_has_all_columns_at_least_as_wide_as_asked():
    assert TABLE.text(80).splitlines() == [
        "           precision      F1  correct",
        "PER           0.5000  0.2500    1,000",
        "LOC           1.0000  0.7500        9",
    ]


@pytest.mark.parametrize(
    ("width", "header"),
    [(37, "           precision      F1  correct"), (36, "    precision     F1 correct"), (27, "    precision     F1"),
     (19, "        F1"), (10, "        F1"), (9, "gold → predicted entities")],
)  # fmt: skip
def test_a_narrower_terminal_first_has_less_room_between_columns_then_fewer_columns_then_another_table(width, header):
    assert TABLE.text(width).splitlines()[0] == header


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells = []

    def handle_starttag(self, tag, attrs):
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and data.strip():
            self.cells[-1] += data


def test_a_page_shows_every_cell_as_text():
    table = Table(("<b>", "n"), [("a & <script>", "1"), ('"', "2")])
    reader = Cells()
    reader.feed(table.html())
    assert reader.cells == ["<b>", "n", "a & <script>", "1", '"', "2"]
    assert "<script>" not in table.html()
