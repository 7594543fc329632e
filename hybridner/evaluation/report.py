"""Reports of sections and blocks, written for the terminal and as an HTML page."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from hybridner.display.html import page, png
from hybridner.display.plots import bars
from hybridner.display.tables import Table
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


# A paragraph, a table, a picture, or a list of findings, each with an example from the data.
Block = str | Table | Picture | Sequence[tuple[str, Example]]
Sections = dict[str, Sequence[Block]]  # blocks by heading


def bars_by_type(series: Sequence[tuple[str, Mapping[str, TypeScores], str]]) -> list[Picture]:
    """Draw shares of the types with most gold entities; each series is a name, scores by type, and the share's name."""
    by_type = series[0][1]
    kinds = sorted(sorted(by_type, key=lambda kind: -by_type[kind].gold)[:MOST_TYPES])
    shares = {name: [getattr(scores[kind], share) for kind in kinds] for name, scores, share in series}
    about = f"bar chart of {', '.join(shares)} for the most frequent types"
    return [Picture(lambda ink: bars(kinds, shares, ink), about)] if kinds else []


def as_text(title: str, about: Sequence[str], sections: Sections, width: int) -> str:
    """Write a report for a terminal of ``width`` columns, without colours; ``about`` are paragraphs below the title."""
    width = max(width, _NARROWEST)
    parts = []
    for heading, blocks in {title: about, **sections}.items():
        parts.append("\n".join(filter(None, (_block_text(block, width) for block in (heading, *blocks)))))
    return "\n\n".join(parts)


def as_page(title: str, about: Sequence[str], sections: Sections) -> str:
    """Write a report as one self-contained HTML page; without matplotlib, a note replaces its pictures."""
    parts = [f"<h1>{escape(title)}</h1>"]
    note = needs("a page with pictures", "matplotlib", "plots")
    if note:
        parts.append(f'<p class="faint">{escape(note)}</p>')
    for heading, blocks in {"": about, **sections}.items():
        parts += ["<section>", f"<h2>{escape(heading[0].upper() + heading[1:])}</h2>" if heading else ""]
        parts += [_block_html(block) for block in blocks if not (note and isinstance(block, Picture))]
        parts.append("</section>")
    return page(title, "\n".join(parts), _STYLE)


def _block_text(block: Block, width: int) -> str:
    if isinstance(block, str):
        return textwrap.fill(block, width, break_on_hyphens=False)
    if isinstance(block, Table):
        return block.text(width)
    if isinstance(block, Picture):
        return ""
    lines = []
    for text, example in block:
        before, entity, after = _snippet(example)
        sentence = " ".join(filter(None, (before, f"[{entity}]", after, f"(line {example.line:,})")))
        lines.append(textwrap.fill(text, width, subsequent_indent="  "))
        lines.append(textwrap.fill(sentence, width, initial_indent=_INDENT, subsequent_indent=_INDENT))
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
    for text, example in block:
        before, entity, after = map(escape, _snippet(example))
        line = f'<span class="faint">line {example.line:,}</span>'
        items.append(f"<li><b>{escape(text)}</b><br>{before} <mark>{entity}</mark> {after} {line}</li>")
    return "\n".join(['<ol class="found">', *items, "</ol>"])


def _snippet(example: Example) -> tuple[str, str, str]:
    """Return the words before, of and after an entity."""
    words, start, stop = example.words, example.start, example.stop
    before = ["…"] * (start > _CONTEXT) + words[max(0, start - _CONTEXT) : start]
    after = words[stop : stop + _CONTEXT] + ["…"] * (stop + _CONTEXT < len(words))
    return " ".join(before), " ".join(words[start:stop]), " ".join(after)
