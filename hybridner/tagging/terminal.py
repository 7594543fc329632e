"""Terminal output: texts with entities in brackets, coloured if the terminal has colours."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from hybridner.tagging.outputs import Results

_STYLES = ("cyan", "green", "magenta", "yellow", "blue", "red")
# A control character could move the cursor or change the terminal's state: show its picture instead.
_PICTURES = {
    **{code: 0x2400 + code for code in range(0x20)},
    **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
    0x7F: 0x2421,
    ord("\t"): "\t",
    ord("\n"): "\n",
    ord("\r"): None,
}


def coloured(results: Results, labels: Sequence[str], console: Console) -> Iterator[str]:
    """Write each text with its entities as ``[Angela Merkel PER]``.

    A type's position among the model's ``labels`` decides its colour. Nothing is printed on ``console``, which knows
    the terminal's colours.
    """
    types = dict.fromkeys(label[2:] for label in labels if label != "O")
    styles = {name: _STYLES[i % len(_STYLES)] for i, name in enumerate(types)}
    for _, tagged in results:
        line = Text()
        end = 0
        for entity in tagged.entities:
            style = styles[entity.label]
            line.append(_visible(tagged.text[end : entity.start]))
            line.append("[", style=style)
            line.append(_visible(entity.text), style=f"bold {style}")
            line.append(f" {entity.label}]", style=style)
            end = entity.end
        line.append(_visible(tagged.text[end:]))
        with console.capture() as capture:
            console.print(line, soft_wrap=True)
        yield capture.get()


def _visible(text: str) -> str:
    return text.translate(_PICTURES)
