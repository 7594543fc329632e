"""Labelled files as users have them: columns, TSV and JSONL, read a sentence at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.jsonl import read_jsonl
from hybridner.corpora.schemes import check_tag
from hybridner.errors import InputError

SUFFIXES = (".txt", ".conll", ".tsv", ".jsonl", ".iob2")
DOCUMENT_ROW = "-DOCSTART-"


@dataclass(frozen=True, slots=True)
class ColumnFormat:
    """Which columns of a row hold what.

    Attributes:
        word: column of the word, counted from 1; -1 is the last, -2 the one before it.
        tag: column of the tag, counted likewise.
        comment: rows that begin with this are left out, such as "#" in CoNLL-U; "" takes no row for a comment.

    Raises:
        InputError: a column 0, or one column for both.
    """

    word: int = 1
    tag: int = -1
    comment: str = ""

    def __post_init__(self) -> None:
        for name, column in (("word", self.word), ("tag", self.tag)):
            if column == 0:
                raise InputError(f"{name} column 0: columns are counted from 1, or from the end with -1, -2, …")
        if self.word == self.tag:
            raise InputError(f"column {self.word} cannot hold both the word and its tag")

    def is_comment(self, line: str) -> bool:
        """Check whether to skip a line."""
        return bool(self.comment) and line.startswith(self.comment)

    def pick(self, row: list[str], labelled: bool) -> tuple[str, str] | None:
        """Word and tag ("" where the text is not labelled) of a row, None where it lacks one of them."""
        word_at, tag_at = self.word - (self.word > 0), self.tag - (self.tag > 0)
        try:
            word, tag = row[word_at], row[tag_at] if labelled else ""
        except IndexError:
            return None
        if not word or (labelled and word_at % len(row) == tag_at % len(row)):
            return None
        return word, tag

    def expected(self, labelled: bool) -> str:
        """Describe the columns that a row needs, for a message."""
        word = "a word first" if self.word == 1 else f"a word in column {self.word}"
        tag = "its tag last" if self.tag == -1 else f"its tag in column {self.tag}"
        return f"{word} and {tag}" if labelled else word


PLAIN = ColumnFormat()


def read_sentences(
    path: Path,
    labelled: bool = True,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
    issues: Issues | None = None,
) -> Iterator[Sentence]:
    """Read the sentences of a file, with their tags unchanged.

    Columns are split on spaces; on TAB alone in a ``.tsv`` file and where the first row that is no ``-DOCSTART-``
    holds one. Only ASCII white space splits: U+00A0 or a zero-width space belongs to its word. Blank lines end
    sentences, ``-DOCSTART-`` rows begin documents.

    A ``.jsonl`` file holds an object a line: ``{"words": [...], "tags": [...]}``, a sentence; or ``{"text": "...",
    "spans": [...]}``, whose words and sentences :mod:`hybridner.text.words` finds. See :mod:`hybridner.corpora.jsonl`.

    Args:
        path: the file.
        labelled: whether tags are required; without, a word alone in its row will do.
        columns: where the word and its tag stand, in a file of columns.
        misaligned: what becomes of spans that do not fall on word boundaries.
        issues: takes what is wrong; by default the first problem is raised.

    Raises:
        InputError: the file cannot be read or breaks its format; the message names file and line.
    """
    issues = issues or Issues()
    if path.suffix.lower() == ".jsonl":
        return read_jsonl(path, numbered_lines(path, issues), labelled, misaligned, issues)
    return read_columns(path, numbered_lines(path, issues), labelled, columns, issues)


def numbered_lines(path: Path, issues: Issues) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; only LF and CRLF end one, so that rare separators inside a word survive."""
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected a file")
    try:
        with path.open("rb") as file:
            yield from decoded_lines(path, file, issues)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def decoded_lines(path: Path, file: Iterable[bytes], issues: Issues) -> Iterator[tuple[int, str]]:
    """Lines of bytes, which are those of ``path``, as text with their numbers."""
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            issues.add(InputError(f"{path}:{number}: not UTF-8 (byte {error.start}); save the file as UTF-8 text"))
            continue
        if "\0" in line:
            issues.add(
                InputError(
                    f"{path}:{number}: a NUL byte, as in UTF-16 or in a file that is no text; "
                    "save the file as UTF-8 text"
                )
            )
            continue
        yield number, line.rstrip("\r\n")


def read_columns(
    path: Path, lines: Iterable[tuple[int, str]], labelled: bool, columns: ColumnFormat, issues: Issues
) -> Iterator[Sentence]:
    """Read sentences from numbered ``lines`` of columns, the lines of ``path``; see :func:`read_sentences`."""
    words: list[str] = []
    tags: list[str] = []
    document, document_has_words, first = 0, False, 1
    tab = True if path.suffix.lower() == ".tsv" else None

    def sentence() -> Sentence:
        return Sentence(tuple(words), tuple(tags) if labelled else None, document, first)

    for number, line in lines:
        if columns.is_comment(line):
            continue
        if is_break(line):
            if words:
                yield sentence()
                document_has_words, words, tags = True, [], []
            if begins_document(line):
                document, document_has_words = document + document_has_words, False
            continue
        if tab is None:
            tab = "\t" in line
        try:
            word, tag = _row(line, tab, labelled, columns, f"{path}:{number}")
        except InputError as error:
            issues.add(error)
            continue
        if not words:
            first = number
        words.append(word)
        if labelled:
            tags.append(tag)
    if words:
        yield sentence()


def begins_document(line: str) -> bool:
    """Recognise a ``-DOCSTART-`` row."""
    return line.startswith(DOCUMENT_ROW) and line.replace("\t", " ").split(" ", 1)[0] == DOCUMENT_ROW


def is_break(line: str) -> bool:
    """Recognise a row that ends a sentence: it is blank or begins a document."""
    return not line.strip(" \t") or begins_document(line)


def _row(line: str, tab: bool, labelled: bool, columns: ColumnFormat, where: str) -> tuple[str, str]:
    """Split a row into its word and its tag."""
    if "\r" in line:
        raise InputError(f"{where}: a CR inside a line; save the file with lines that end in LF or CRLF")
    if "\t" in line and not tab:
        raise InputError(f"{where}: a TAB, where rows before have none ({line!r}); use TABs in every row or in none")
    row = [field.strip(" ") for field in line.split("\t")] if tab else [field for field in line.split(" ") if field]
    found = columns.pick(row, labelled)
    if found is None:
        raise InputError(
            f"{where}: a row of {len(row)} column{'s' * (len(row) != 1)} ({line!r}); expected "
            f"{columns.expected(labelled)}, split by {'TABs' if tab else 'spaces'}"
        )
    if labelled:
        check_tag(found[1], where)
    return found
