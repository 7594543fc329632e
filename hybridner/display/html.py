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
  --accent: #1f5fae; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e8ed; --faint: #9aa4b0; --line: #343b44;
  --accent: #7fb2f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
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
    """Build a whole HTML page from a plain ``title``, an HTML ``body``, and CSS that must not contain ``</style``.

    The page's CSS defines the classes ``number`` (right-aligned cell), ``wide`` (scrolling box around a wide table) and
    ``faint``, and the colours ``--paper``, ``--ink``, ``--faint``, ``--line`` and ``--accent`` for light and dark mode.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n{style.strip()}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def png(figure: "Figure") -> str:
    """Encode a figure as a ``data:`` URI for ``src``."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Matplotlib's font may lack the script of a type's name and draw boxes; the page has the name as text too.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
