"""``hybridner predict``."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from cyclopts import Parameter

from hybridner.cli.output import STANDARD_OUTPUT, check_writable
from hybridner.config.choices import Device, Dtype
from hybridner.errors import InputError
from hybridner.model.twins import Backend

if TYPE_CHECKING:
    from hybridner.tagging.inputs import Skipped, TextRecord
    from hybridner.tagging.tagger import TaggedText, Tagger

SentenceMode = Literal["auto", "line", "none"]
Format = Literal["jsonl", "conll", "text", "color", "html"]
_SUFFIXES: dict[str, Format] = {
    ".html": "html", ".htm": "html", ".conll": "conll", ".tsv": "conll", ".iob2": "conll", ".txt": "text",
}  # fmt: skip


def predict(
    model: str | Path,
    /,
    *text: str,
    inputs: Annotated[tuple[Path, ...], Parameter("--input", consume_multiple=True, show_default=False)] = (),
    input_format: Literal["text", "jsonl", "conll"] | None = None,
    skip_bad: bool = False,
    output: Path | None = None,
    output_format: Annotated[Format | None, Parameter("--format")] = None,
    sentences: SentenceMode = "auto",
    raw_tags: bool = False,
    backend: Backend | None = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Find the entities of texts.

    Args:
        model: A run, a model folder, or OWNER/NAME on the Hugging Face Hub.
        *text: Texts to tag; without any, --input or the standard input is read.
        inputs: Files: one text per line; .jsonl has one object per line with "text" or "words", and other keys are
            copied to the output; .conll, .tsv or .iob2 has a word in the first column. - is the standard input.
        input_format: Format of the files and of the standard input, whatever their names.
        skip_bad: Skip and count lines that cannot be read, instead of stopping at the first.
        output: Write to this file; it is written completely or not at all.
        output_format: jsonl: one object per text; conll: a word and its tag per line; text: one entity per line; color:
            texts with the entities in brackets; html: a page. By default the output's suffix decides; without one,
            color in a terminal and jsonl elsewhere.
        sentences: auto finds the sentences of a text, line makes each line one, none the whole text.
        raw_tags: Choose the most probable tag of each word by itself, even if the tags form no valid sequence.
        backend: flax or torch; by default the one that is installed, Flax first.
        device: Device to compute on.
        dtype: Type of the computation.
    """
    if text and (inputs or input_format):
        raise InputError("TEXT and --input or --input-format exclude each other; give one of them")
    from hybridner.files.whole import opened_whole
    from hybridner.tagging.inputs import STANDARD_INPUT, Skipped, TextRecord, check_inputs, read_texts
    from hybridner.tagging.tagger import load

    paths = inputs or (STANDARD_INPUT,)
    check_inputs(() if text else paths)
    check_writable(output)
    skipped = Skipped() if skip_bad else None
    to_file = output not in (None, STANDARD_OUTPUT)
    printed: AbstractContextManager[TextIO] = nullcontext(sys.stdout)
    with opened_whole(output) if output and to_file else printed as out:
        # A terminal that shows both would mix the bar with the lines.
        bar = _progress_bar(inputs) if to_file or not sys.stdout.isatty() else nullcontext(lambda _: None)
        tagger = load(model, backend, device=device, dtype=dtype)  # type: ignore[arg-type]
        with bar as advance:
            records = map(TextRecord, text) if text else read_texts(paths, input_format, skipped, advance)
            typed = not text and STANDARD_INPUT in paths and sys.stdin.isatty()
            results = _Results(tagger, records, sentences, raw_tags, one_by_one=typed)
            for piece in _formatted(results, output_format, output, out):
                out.write(piece)
                if typed:
                    out.flush()
    for note in _notes(results, skipped):
        print(note, file=sys.stderr)


@dataclass
class _Results:
    """Records with their entities, and counts to report."""

    tagger: "Tagger"
    records: "Iterable[TextRecord]"
    sentences: SentenceMode
    raw: bool
    one_by_one: bool
    num_windowed: int = 0
    num_replaced: int = 0

    def __iter__(self) -> "Iterator[tuple[TextRecord, TaggedText]]":
        from hybridner.tagging.outputs import REPLACED

        # Answer typed lines at once; tag anything else in large chunks.
        chunks = ([record] for record in self.records) if self.one_by_one else [self.records]
        for chunk in chunks:
            records, ahead = tee(chunk)
            tagged_texts = self.tagger.tag_texts((record.text for record in ahead), self.sentences, raw=self.raw)
            for tagged, record in zip(tagged_texts, records, strict=True):
                self.num_windowed += tagged.num_windowed
                self.num_replaced += not record.carried.keys().isdisjoint(REPLACED)
                yield record, tagged


def _formatted(results: _Results, chosen: Format | None, output: Path | None, out: TextIO) -> Iterator[str]:
    from rich.console import Console

    from hybridner.tagging import outputs as plain
    from hybridner.tagging.page import html_page
    from hybridner.tagging.terminal import coloured

    suffix, labels = "" if output is None else output.suffix.lower(), results.tagger.model.labels
    chosen = chosen or _SUFFIXES.get(suffix, "color" if out.isatty() else "jsonl")
    if chosen == "html":
        return html_page(results, labels)
    if chosen == "color":
        return coloured(results, labels, Console(file=out))
    return {"jsonl": plain.jsonl, "conll": plain.conll, "text": plain.text}[chosen](results)


def _notes(results: _Results, skipped: "Skipped | None") -> Iterator[str]:
    def counted(number: int, what: str) -> str:
        return f"{number:,} {what}{'s' * (number != 1)}"

    if results.num_windowed:
        yield f"{counted(results.num_windowed, 'sentence')} longer than the model accepts, cut into windows"
    if results.num_replaced:
        replaced = counted(results.num_replaced, "object")
        yield f"{replaced} had words, tags or entities; the output has the predicted ones instead"
    if skipped is not None and skipped.count:
        yield f"{counted(skipped.count, 'line')} skipped; the first: {skipped.problems[0]}"


@contextmanager
def _progress_bar(paths: Iterable[Path]) -> Iterator[Callable[[int], None]]:
    """Show a bar over the bytes of files on the standard error, if it is a terminal and there are files."""
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
