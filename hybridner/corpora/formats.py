"""Labelled files as users have them: columns, TSV and JSONL, read one sentence at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.jsonl import parse_line, read_records
from hybridner.corpora.schemes import check_tag
from hybridner.errors import InputError

SUFFIXES = (".txt", ".conll", ".tsv", ".jsonl", ".iob2")
DOCUMENT_ROW = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """Columns of a row that contain the word and its tag.

    Attributes:
        word: column of the word, counted from 1; -1 is the last, -2 the one before it.
        tag: column of the tag, counted in the same way.
        comment: skip rows that begin with this, such as "#" in CoNLL-U; "" skips none.

    Raises:
        InputError: a column is 0, or both are the same.
    """

    word: int = 1
    tag: int = -1
    comment: str = ""

    def __post_init__(self) -> None:
        if 0 in (self.word, self.tag) or self.word == self.tag:
            raise InputError(
                f"word column {self.word} and tag column {self.tag}: expected two columns, counted from 1, or from the "
                "end with -1, -2, …"
            )

    def is_comment(self, line: str) -> bool:
        """Check whether to skip a line."""
        return bool(self.comment) and line.startswith(self.comment)

    def split(self, line: str, tab: bool, labelled: bool, where: str) -> tuple[str, str]:
        """Return a row's word and tag ("" without ``labelled``); ``tab`` tells whether TABs separate the columns.

        Raises:
            InputError: one of them is missing or has another shape; the message begins with ``where``.
        """
        if "\r" in line:
            raise InputError(f"{where}: a CR inside a line; save the file with lines that end in LF or CRLF")
        if "\t" in line and not tab:
            raise InputError(
                f"{where}: a TAB, where rows before have none ({line!r}); use TABs in every row or in none"
            )
        row = [field.strip(" ") for field in line.split("\t")] if tab else [field for field in line.split(" ") if field]
        word_at, tag_at = self.word - (self.word > 0), self.tag - (self.tag > 0)
        try:
            word, tag = row[word_at], row[tag_at] if labelled else ""
        except IndexError:
            word = tag = ""
        if not word or (labelled and word_at % len(row) == tag_at % len(row)):
            needed = "a word first" if self.word == 1 else f"a word in column {self.word}"
            if labelled:
                needed += " and its tag last" if self.tag == -1 else f" and its tag in column {self.tag}"
            raise InputError(
                f"{where}: a row of {len(row)} column{'s' * (len(row) != 1)} ({line!r}); expected {needed}, split by "
                f"{'TABs' if tab else 'spaces'}"
            )
        if labelled:
            check_tag(tag, where)
        return word, tag


PLAIN = ColumnFormat()


def read_sentences(
    path: Path,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
    issues: Issues | None = None,
) -> Iterator[Sentence]:
    """Read the sentences of a file, with their tags unchanged.

    Columns are split on spaces; on TAB alone in a ``.tsv`` file and where the first row other than ``-DOCSTART-``
    contains one. Only ASCII white space splits: U+00A0 or a zero-width space belongs to its word. Blank lines end
    sentences, ``-DOCSTART-`` rows begin documents. For a ``.jsonl`` file see :mod:`hybridner.corpora.jsonl`.

    Args:
        path: the file.
        columns: columns of the word and its tag, in a file of columns.
        misaligned: "error", or "drop" to leave out spans that cross word boundaries and count them.
        issues: collects problems; by default the first one is raised.

    Raises:
        InputError: the file cannot be read or breaks its format; the message names file and line.
    """
    issues = issues or Issues()
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected a file")
    try:
        with path.open("rb") as file:
            lines = decoded_lines(path, file, issues)
            if path.suffix.lower() == ".jsonl":
                yield from read_records(str(path), lines, parse_line, misaligned, issues)
            else:
                yield from read_columns(path, lines, True, columns, issues)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def decoded_lines(path: Path, file: Iterable[bytes], issues: Issues) -> Iterator[tuple[int, str]]:
    """Decode and number the lines of ``path``; only LF and CRLF end one, so rare separators inside a word survive."""
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            problem = "a NUL byte, as in UTF-16 or in a file that is no text" if "\0" in line else ""
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 (byte {error.start})"
        if problem:
            issues.add(InputError(f"{path}:{number}: {problem}; save the file as UTF-8 text"))
        else:
            yield number, line.rstrip("\r\n")


def read_columns(
    path: Path, lines: Iterable[tuple[int, str]], labelled: bool, columns: ColumnFormat, issues: Issues
) -> Iterator[Sentence]:
    """Read sentences from numbered ``lines`` of columns, the lines of ``path``; see :func:`read_sentences`."""
    rows: list[tuple[int, str, str]] = []
    document, has_sentences = 0, False
    tab = True if path.suffix.lower() == ".tsv" else None
    for number, line in chain(lines, [(0, "")]):  # a blank line ends the last sentence
        if columns.is_comment(line):
            continue
        if is_break(line):
            if rows:
                numbers, words, tags = zip(*rows, strict=True)
                yield Sentence(words, tags if labelled else None, document, numbers[0])
                rows, has_sentences = [], True
            if begins_document(line):
                document, has_sentences = document + has_sentences, False
            continue
        if tab is None:
            tab = "\t" in line
        try:
            rows.append((number, *columns.split(line, tab, labelled, f"{path}:{number}")))
        except InputError as error:
            issues.add(error)


def begins_document(line: str) -> bool:
    """Recognise a ``-DOCSTART-`` row."""
    return line.startswith(DOCUMENT_ROW) and line[len(DOCUMENT_ROW) :][:1] in ("", " ", "\t")


def is_break(line: str) -> bool:
    """Recognise a row that ends a sentence: it is blank or begins a document."""
    return not line.strip(" \t") or begins_document(line)
