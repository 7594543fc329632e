"""Texts to tag, read one at a time: lines of text, JSONL, or columns of words."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hybridner.corpora.formats import PLAIN, decoded_lines, read_columns
from hybridner.corpora.issues import Issues
from hybridner.errors import InputError
from hybridner.files.reading import parse_object
from hybridner.text.words import SplitText, Word, join_words

STANDARD_INPUT = Path("-")
InputFormat = Literal["text", "jsonl", "conll"]
_SUFFIXES: dict[str, InputFormat] = {".jsonl": "jsonl", ".conll": "conll", ".tsv": "conll", ".iob2": "conll"}


@dataclass(frozen=True, slots=True)
class TextRecord:
    """One text to tag.

    Attributes:
        text: the text, with its words if the input gives them.
        carried: the other keys of the JSON object, copied to the output.
        document: numbers of the file and of its document for a sentence read from columns, else None.
    """

    text: str | SplitText
    carried: dict[str, Any] = field(default_factory=dict)
    document: tuple[int, int] | None = None


@dataclass(slots=True)
class Skipped(Issues):
    """Count of skipped lines, with the problem of the first."""

    count: int = 0

    def add(self, problem: InputError) -> None:
        """Count a skipped line and keep the first problem."""
        self.count += 1
        if self.count == 1:
            self.problems.append(str(problem))


def check_inputs(paths: Iterable[Path]) -> None:
    """Check that each path is a file, or ``-`` for standard input.

    Raises:
        InputError: a path does not exist, or is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path}: a folder; expected a file")
        if path != STANDARD_INPUT and not path.exists():
            raise InputError(f"{path}: no such file")


def read_texts(
    paths: Iterable[Path],
    format: InputFormat | None = None,  # noqa: A002 - the option's name
    issues: Issues | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[TextRecord]:
    """Read the texts of files, in order, as they are needed.

    Each line of a text file is a text. Each line of a JSONL file is an object with a "text", or with the "words" (or
    "tokens") of one sentence; with both, the words must appear in the text in order. In a file of columns the first
    column of each row is a word, blank lines end sentences, ``-DOCSTART-`` rows end documents; each sentence is a text.

    Args:
        paths: the files; ``-`` is standard input.
        format: of all files; by default the suffix decides: JSONL for ``.jsonl``, columns for ``.conll``, ``.tsv``
            and ``.iob2``, and text for any other.
        issues: collects the problems of lines of text or JSONL; by default the first problem is raised.
        advance: called with the number of bytes of each line read.

    Raises:
        InputError: a file cannot be read or breaks its format; the message names file and line.
    """
    issues = issues or Issues()
    for number, path in enumerate(paths):
        kind = format or _SUFFIXES.get(path.suffix.lower(), "text")
        shown = Path("standard input") if path == STANDARD_INPUT else path
        try:
            with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as file:
                if kind == "conll":
                    # Skipping a row would leave a gap in its sentence: raise instead.
                    lines = decoded_lines(shown, _counted(file, advance), Issues())
                    for sentence in read_columns(shown, lines, labelled=False, columns=PLAIN, issues=Issues()):
                        yield TextRecord(join_words(sentence.words), document=(number, sentence.document))
                    continue
                for line_number, line in decoded_lines(shown, _counted(file, advance), issues):
                    if kind == "text":
                        yield TextRecord(line)
                    elif line.strip():
                        try:
                            yield _parse(line, f"{shown}:{line_number}")
                        except InputError as error:
                            issues.add(error)
        except OSError as error:
            raise InputError(f"{shown}: cannot be read ({error.strerror})") from error


def _counted(file: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for raw in file:
        yield raw
        advance(len(raw))


def _parse(line: str, where: str) -> TextRecord:
    record = parse_object(line, where, " with a 'text', or with 'words'")
    lists = (name for name in ("words", "tokens") if isinstance(record.get(name), list))
    name = next((name for name in lists if all(isinstance(word, str) for word in record[name])), None)
    text: Any = record.get("text")
    if name is None and not isinstance(text, str):
        raise InputError(
            f"{where}: neither a string 'text' nor a list of strings 'words' or 'tokens'; there are "
            f"{', '.join(map(repr, record)) or 'no keys'}"
        )
    if name is not None:
        text = join_words(record[name]) if text is None else _place(record[name], text, where)
    return TextRecord(text, {key: value for key, value in record.items() if key not in ("text", name)})


def _place(words: list[str], text: Any, where: str) -> SplitText:
    """Find the words of a sentence in its text, in order."""
    placed: list[Word] = []
    end = 0
    for word in words:
        start = text.find(word, end) if isinstance(text, str) else -1
        if start < 0 or any(map(str.isalnum, text[end:start])):
            raise InputError(
                f"{where}: word {word!r} does not follow the word before it in 'text'; give 'text' or words alone"
            )
        end = start + len(word)
        placed.append(Word(word, start, end))
    return SplitText(text, [placed] if placed else [])
