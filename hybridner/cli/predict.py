"""``hybridner predict``."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hybridner.cli.parse import parse
from hybridner.config import Device, Dtype
from hybridner.errors import InputError
from hybridner.tagging import TaggedText, load


@dataclass(frozen=True)
class PredictOptions:
    """Find the entities of raw text."""

    model: Annotated[str, tyro.conf.Positional]
    """A run, or a model folder of either twin."""
    text: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Texts to tag; without any, --input or the standard input, a text a line."""
    input: Path | None = None
    """A UTF-8 file, a text a line."""
    format: Literal["jsonl", "conll", "text"] = "jsonl"
    """jsonl: a line a text; conll: a word and its tag a line, a blank line after a sentence; text: an entity a line."""
    sentences: Literal["auto", "line", "none"] = "auto"
    """How a text is split into sentences: found, one a line, or not at all."""
    backend: str | None = None
    """flax or torch; by default the one that is installed, Flax first."""
    device: Device = "auto"
    """Where to compute."""
    dtype: Dtype = "float32"
    """Type of the computation."""


def run(args: list[str]) -> int:
    """Tag text from the command line.

    Raises:
        InputError: the model or the input is not usable.
    """
    options = parse(PredictOptions, args, "hybridner predict")
    if options.text and options.input is not None:
        raise InputError("TEXT and --input exclude each other; give one of them")
    texts = iter(options.text) if options.text else _lines(options.input)
    tagger = load(options.model, options.backend, device=options.device, dtype=options.dtype)  # type: ignore[arg-type]
    num_windowed = 0
    for tagged in tagger.tag_texts(texts, options.sentences):
        num_windowed += tagged.num_windowed
        print(_FORMATS[options.format](tagged))
    if num_windowed:
        print(
            f"{num_windowed:,} sentences were longer than the model takes and cut into windows",
            file=sys.stderr,
        )
    return 0


def _lines(path: Path | None) -> Iterator[str]:
    where = "standard input" if path is None else str(path)
    try:
        with sys.stdin.buffer if path is None else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise InputError(f"{where}:{number}: not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error


def _jsonl(tagged: TaggedText) -> str:
    words = [{"text": word.text, "start": word.start, "end": word.end} for word in tagged.words]
    found = [asdict(entity) for entity in tagged.entities]
    record = {"text": tagged.text, "words": words, "tags": tagged.tags, "entities": found}
    return json.dumps(record, ensure_ascii=False)


def _conll(tagged: TaggedText) -> str:
    rows = [f"{word.text}\t{tag}\n" for word, tag in zip(tagged.words, tagged.tags, strict=True)]
    starts = [0, *tagged.sentence_ends]
    return "\n".join("".join(rows[start:end]) for start, end in pairwise(starts))


def _text(tagged: TaggedText) -> str:
    return "\n".join(f"{e.label}\t{e.text}\t{e.start}\t{e.end}\t{e.score:.3f}" for e in tagged.entities)


_FORMATS = {"jsonl": _jsonl, "conll": _conll, "text": _text}
