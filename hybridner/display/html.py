"""Self-contained HTML pages, which fetch nothing and follow the reader's light or dark mode."""

import base64
import io
import warnings
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2127; --faint: #5d6672; --line: #d8dde3;
  --panel: #f5f7f9; --accent: #1f5fae; --right: #17733c; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e8ed; --faint: #9aa4b0; --line: #343b44;
  --panel: #1e2329; --accent: #7fb2f0; --right: #6fcf97; --wrong: #f28b82; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
a { color: var(--accent); }
code { font: .9em ui-monospace, monospace; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .65rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--faint); font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; }
.faint { color: var(--faint); }
@media (max-width: 30rem) { table { font-size: .85rem; } th, td { padding: .3rem .35rem; } }
@media print { :root { color-scheme: light; } body { max-width: none; } }
""".strip()


def page(title: str, body: str, style: str = "") -> str:
    """Write a whole HTML page.

    Its CSS defines the classes ``number`` (right-aligned cell), ``wide`` (scrolling box around a wide table) and
    ``faint``, and these colours as variables, for light and for dark mode: ``--paper``, ``--ink``, ``--faint``,
    ``--line``, ``--panel``, ``--accent``, ``--right``, ``--wrong``.

    Args:
        title: plain text; we escape it.
        body: HTML in which the caller has escaped the text (``html.escape``).
        style: CSS to add; it must not contain ``</style``.
    """
    css = f"{_STYLE}\n{style.strip()}".rstrip()
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def png(figure: "Figure") -> str:
    """Write a figure as a ``data:`` URI for ``src``."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Type names may be in a script that matplotlib's font lacks: it draws boxes, but the page has their text.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
