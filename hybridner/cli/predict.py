"""``hybridner predict``."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import tyro

from hybridner.cli.output import STANDARD_OUTPUT, check_writable
from hybridner.cli.parse import parse
from hybridner.config.choices import Device, Dtype
from hybridner.errors import InputError

if TYPE_CHECKING:
    from hybridner.tagging.inputs import Skipped, TextRecord
    from hybridner.tagging.tagger import TaggedText, Tagger

Format = Literal["jsonl", "conll", "text", "color", "html"]
_SUFFIXES: dict[str, Format] = {
    ".html": "html", ".htm": "html", ".conll": "conll", ".tsv": "conll", ".iob2": "conll", ".txt": "text",
}  # fmt: skip


@dataclass(frozen=True)
class PredictOptions:
    """Find the entities of texts."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, a model folder of either twin, or OWNER/NAME on the Hugging Face Hub."""
    text: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Texts to tag; without any, --input or the standard input."""
    input: tuple[Path, ...] = ()
    """Files: a text a line; .jsonl with a "text" or "words" an object, other keys are carried to the output; .conll,
    .tsv or .iob2 with a word in the first column. - is the standard input."""
    input_format: Literal["text", "jsonl", "conll"] | None = None
    """What the files and the standard input hold, whatever their names."""
    skip_bad: bool = False
    """Skip and count lines that cannot be read, instead of stopping at the first."""
    output: Path | None = None
    """Write to this file: whole, or not at all."""
    format: Format | None = None
    """jsonl: an object a text; conll: a word and its tag a line; text: an entity a line; color: texts with the entities
    in brackets; html: a page. By default the output's suffix says it; else color in a terminal, and jsonl elsewhere."""
    sentences: Literal["auto", "line", "none"] = "auto"
    """How a text is split into sentences: found, one a line, or not at all."""
    raw_tags: bool = False
    """The most probable tag of each word by itself, even if they make no valid sequence."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""


def run(args: list[str]) -> int:
    """Tag texts from the command line.

    Raises:
        InputError: the model or the input is not usable.
    """
    options = parse(PredictOptions, args, "hybridner predict")
    if options.text and (options.input or options.input_format):
        raise InputError("TEXT and --input or --input-format exclude each other; give one of them")
    from hybridner.files.whole import opened_whole
    from hybridner.tagging.inputs import STANDARD_INPUT, Skipped, TextRecord, check_inputs, read_texts
    from hybridner.tagging.tagger import load

    paths = options.input or (STANDARD_INPUT,)
    check_inputs(() if options.text else paths)
    check_writable(options.output)
    skipped = Skipped() if options.skip_bad else None
    to_file = options.output not in (None, STANDARD_OUTPUT)
    printed: AbstractContextManager[TextIO] = nullcontext(sys.stdout)
    with opened_whole(options.output) if options.output and to_file else printed as out:
        # The bar would be drawn between the lines of a terminal that shows both.
        bar = _progress_bar(options.input) if to_file or not sys.stdout.isatty() else nullcontext(lambda _: None)
        tagger = load(options.model, options.backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
        with bar as advance:
            records = (
                map(TextRecord, options.text)
                if options.text
                else read_texts(paths, options.input_format, skipped, advance)
            )
            typed = not options.text and STANDARD_INPUT in paths and sys.stdin.isatty()
            results = _Results(tagger, records, options, one_by_one=typed)
            for piece in _formatter(options, tagger, out)(results):
                out.write(piece)
                if typed:
                    out.flush()
    for note in _notes(results, skipped):
        print(note, file=sys.stderr)
    return 0


class _Results:
    """Records with what was found in them, and what has to be said about them."""

    def __init__(
        self, tagger: "Tagger", records: "Iterable[TextRecord]", options: PredictOptions, one_by_one: bool
    ) -> None:
        self._tagger, self._records, self._options, self._one_by_one = tagger, records, options, one_by_one
        self.num_windowed = self.num_replaced = 0

    def __iter__(self) -> "Iterator[tuple[TextRecord, TaggedText]]":
        from hybridner.tagging.outputs import REPLACED

        waiting: deque[TextRecord] = deque()

        def texts(records: "Iterable[TextRecord]") -> Iterator:
            for record in records:
                waiting.append(record)
                yield record.text

        # What is typed is answered at once; anything else goes in large chunks.
        chunks = ([record] for record in self._records) if self._one_by_one else [self._records]
        for chunk in chunks:
            for tagged in self._tagger.tag_texts(texts(chunk), self._options.sentences, raw=self._options.raw_tags):
                record = waiting.popleft()
                self.num_windowed += tagged.num_windowed
                self.num_replaced += not record.carried.keys().isdisjoint(REPLACED)
                yield record, tagged


def _formatter(options: PredictOptions, tagger: "Tagger", out: TextIO) -> "Callable[[_Results], Iterator[str]]":
    from hybridner.tagging import outputs as plain

    suffix = "" if options.output is None else options.output.suffix.lower()
    chosen = options.format or _SUFFIXES.get(suffix, "color" if out.isatty() else "jsonl")
    labels = tagger.model.labels
    if chosen == "html":
        from hybridner.tagging.page import html_page

        return lambda results: html_page(results, labels)
    if chosen == "color":
        from rich.console import Console

        from hybridner.tagging.terminal import coloured

        return lambda results: coloured(results, labels, Console(file=out))
    return {"jsonl": plain.jsonl, "conll": plain.conll, "text": plain.text}[chosen]


def _notes(results: _Results, skipped: "Skipped | None") -> Iterator[str]:
    if results.num_windowed:
        yield f"{_number(results.num_windowed, 'sentence')} longer than the model takes, cut into windows"
    if results.num_replaced:
        yield (
            f"{_number(results.num_replaced, 'object')} held words, tags or entities, in whose place the output has "
            "those found"
        )
    if skipped is not None and skipped.count:
        yield f"{_number(skipped.count, 'line')} skipped; the first: {skipped.problems[0]}"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


@contextmanager
def _progress_bar(paths: Iterable[Path]) -> Iterator[Callable[[int], None]]:
    """A bar over the bytes of files, on the standard error; none where that is no terminal or a size is not known."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    files = [path for path in paths if path.is_file()]
    console = Console(stderr=True)
    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, transient=True,
        redirect_stdout=False, redirect_stderr=False, disable=not (console.is_terminal and files),
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=sum(path.stat().st_size for path in files))
        yield lambda size: bar.advance(task, size)
