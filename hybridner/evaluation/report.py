"""Reports of sections and blocks, written for the terminal and as an HTML page."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from hybridner.display.html import page, png
from hybridner.display.plots import bars
from hybridner.display.tables import WIDTH, Table
from hybridner.errors import needs
from hybridner.evaluation.analysis import Example
from hybridner.evaluation.scoring import TypeScores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TYPES = 30  # shown in a picture, or in a square table
_CONTEXT = 6  # words of the sentence on either side of an entity
_NARROWEST = 24
_INDENT = "    "
_INK = {"light": "#1d2127", "dark": "#e4e8ed"}
_STYLE = """
mark { background: color-mix(in srgb, var(--accent) 22%, transparent); color: inherit; padding: 0 .15em;
  border-radius: .2em; }
ol.found { padding: 0; list-style: none; }
ol.found li { padding: .45rem 0; border-bottom: 1px solid var(--line); }
picture img { width: 42rem; }
ol.found b { font-weight: 600; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure; the terminal report omits it.

    Attributes:
        draw: function that draws on a transparent background, given the colour of lines and letters.
        about: description for readers who cannot see the figure.
    """

    draw: "Callable[[str], Figure]"
    about: str


@dataclass(frozen=True, slots=True)
class Found:
    """A finding in words, with an example from the data."""

    text: str
    example: Example


Block = str | Table | Picture | Sequence[Found]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading (empty for none) and the blocks under it: paragraphs, tables, pictures, lists of findings."""

    title: str
    blocks: Sequence[Block]


def bars_by_type(by_type: Mapping[str, TypeScores], series: Mapping[str, Callable[[str], float]]) -> list[Picture]:
    """Draw shares of the types with most gold entities: for each name a function from type to share."""
    names = sorted(sorted(by_type, key=lambda kind: -by_type[kind].gold)[:MOST_TYPES])
    shares = {name: [share(kind) for kind in names] for name, share in series.items()}
    about = f"bar chart of {', '.join(series)} for the most frequent types"
    return [Picture(lambda ink: bars(names, shares, ink), about)] if names else []


def as_text(sections: Sequence[Section], width: int = WIDTH) -> str:
    """Write the report for a terminal of ``width`` columns, without colours."""
    width = max(width, _NARROWEST)
    parts = []
    for section in sections:
        blocks = [text for block in section.blocks if (text := _block_text(block, width))]
        parts.append("\n".join(filter(None, [textwrap.fill(section.title, width), *blocks])))
    return "\n\n".join(parts)


def as_page(title: str, sections: Sequence[Section]) -> str:
    """Write the report as one self-contained HTML page; without matplotlib, a note replaces its pictures."""
    parts = [f"<h1>{escape(title)}</h1>"]
    if note := needs("a page with pictures", "matplotlib", "plots"):
        parts.append(f'<p class="faint">{escape(note)}</p>')
        sections = [Section(s.title, [b for b in s.blocks if not isinstance(b, Picture)]) for s in sections]
    for section in sections:
        heading = f"<h2>{escape(section.title[:1].upper() + section.title[1:])}</h2>" if section.title else ""
        parts.append("\n".join(["<section>", heading, *map(_block_html, section.blocks), "</section>"]))
    return page(title, "\n".join(parts), _STYLE)


def _block_text(block: Block, width: int) -> str:
    if isinstance(block, str):
        return textwrap.fill(block, width, break_on_hyphens=False)
    if isinstance(block, Table):
        return block.text(width)
    if isinstance(block, Picture):
        return ""
    lines = []
    for found in block:
        before, entity, after = _snippet(found.example)
        sentence = " ".join(filter(None, (before, f"[{entity}]", after, f"(line {found.example.line:,})")))
        lines += [
            textwrap.fill(found.text, width, subsequent_indent="  "),
            textwrap.fill(sentence, width, initial_indent=_INDENT, subsequent_indent=_INDENT),
        ]
    return "\n".join(lines)


def _block_html(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Table):
        return block.html()
    if isinstance(block, Picture):
        light, dark = (png(block.draw(_INK[mode])) for mode in ("light", "dark"))
        return (
            f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img src="{light}" alt="{escape(block.about)}"></picture>'
        )
    items = []
    for found in block:
        before, entity, after = map(escape, _snippet(found.example))
        line = f'<span class="faint">line {found.example.line:,}</span>'
        items.append(f"<li><b>{escape(found.text)}</b><br>{before} <mark>{entity}</mark> {after} {line}</li>")
    return "\n".join(['<ol class="found">', *items, "</ol>"])


def _snippet(example: Example) -> tuple[str, str, str]:
    """Cut out the words before, of and after an entity."""
    words, start, stop = example.words, example.start, example.stop
    first, last = max(0, start - _CONTEXT), stop + _CONTEXT
    before = ["…"] * (first > 0) + words[first:start]
    after = words[stop:last] + ["…"] * (last < len(words))
    return " ".join(before), " ".join(words[start:stop]), " ".join(after)
