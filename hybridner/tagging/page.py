"""A self-contained HTML page of texts with their entities marked and named."""

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from tempfile import TemporaryFile

from hybridner.display.html import page
from hybridner.tagging.outputs import Results
from hybridner.tagging.tagger import TaggedText

_PIECE = 1 << 16
_BODY = "<!-- body -->"
# HTML cannot represent NUL and surrogates, and a parser turns a raw CR into a line feed.
_ESCAPES = {0: "\ufffd", 0x0D: "&#13;", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
_STYLE = """
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; padding: 0; margin: .8rem 0 1.6rem; list-style: none; }
.tagged { display: flex; gap: .8rem; border-top: 1px solid var(--line); padding: .7rem 0; }
.number { min-width: 2ch; line-height: 2; color: var(--faint); font-variant-numeric: tabular-nums; user-select: none; }
.text { flex: 1; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; }
mark { color: inherit; background: hsl(var(--hue) 80% 88%); border-bottom: 2px solid hsl(var(--hue) 65% 38%);
  border-radius: .25rem; padding: .15rem .3rem; unicode-bidi: isolate;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
mark[data-label]::after { content: attr(data-label); margin-inline-start: .4em; font-size: .7em; font-weight: 700;
  letter-spacing: .03em; unicode-bidi: isolate; user-select: none; }
@media (prefers-color-scheme: dark) {
  mark { background: hsl(var(--hue) 45% 24%); border-bottom-color: hsl(var(--hue) 65% 62%); } }
@media print { mark { background: none; } }
""".strip()


def html_page(results: Results, labels: Sequence[str]) -> Iterator[str]:
    """Yield the parts of a page: a legend with the number of entities of each type, then the texts.

    A browser shows and copies each text character for character, except that NUL and lone surrogates become U+FFFD.
    Hovering over an entity shows its score. A temporary file keeps the texts' markup until all are counted.
    """
    types = dict.fromkeys(label[2:] for label in labels if label != "O")
    hues = {name: round(215 + 137.508 * i) % 360 for i, name in enumerate(types)}  # the golden angle keeps hues apart
    counts: Counter[str] = Counter()
    texts = words = 0
    head, tail = page("Entities", _BODY, _STYLE).split(_BODY)
    with TemporaryFile("w+", encoding="utf-8", newline="") as body:
        for _, tagged in results:
            texts, words = texts + 1, words + len(tagged.words)
            counts.update(entity.label for entity in tagged.entities)
            body.write(f'<div class="tagged"><span class="number">{texts}</span>{_marked(tagged, hues)}</div>\n')
        body.seek(0)
        found = [_count(texts, "text"), _count(words, "word"), _count(counts.total(), "entity", "entities")]
        yield f'{head}<h1>Entities</h1>\n<p class="faint">{", ".join(found)}</p>\n<ul class="legend">\n'
        for name, hue in hues.items():
            yield f'<li><mark style="--hue: {hue}">{_escaped(name)}</mark> {counts[name]:,}</li>\n'
        yield "</ul>\n<main>\n"
        yield from iter(lambda: body.read(_PIECE), "")
        yield f"</main>{tail}"


def _marked(tagged: TaggedText, hues: dict[str, int]) -> str:
    parts = ['<div class="text" dir="auto">']
    end = 0
    for entity in tagged.entities:
        label = _escaped(entity.label)
        parts.append(_escaped(tagged.text[end : entity.start]))
        parts.append(
            f'<mark style="--hue: {hues[entity.label]}" data-label="{label}" title="{label}, score {entity.score:.3f}">'
            f"{_escaped(entity.text)}</mark>"
        )
        end = entity.end
    return "".join([*parts, _escaped(tagged.text[end:]), "</div>"])


def _escaped(text: str) -> str:
    return escape(text).translate(_ESCAPES)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
