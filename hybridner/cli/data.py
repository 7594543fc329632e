"""``hybridner data check``, ``convert`` and ``split``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hybridner.cli.examples import examples
from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.cli.parse import USER_ERROR, parse
from hybridner.cli.reading import Reading
from hybridner.config.checks import nearest
from hybridner.errors import InputError

if TYPE_CHECKING:
    pass

FOUND = 1
_COMMANDS = {
    "check": "say what is in a corpus, and what in it may spoil training or scores",
    "convert": "write a file or a corpus in another form or tagging scheme",
    "split": "cut a file into train, valid and test files",
}
_HELP = """\
usage: hybridner data COMMAND [OPTIONS]

Check, convert and split files of labelled sentences.

commands:
{commands}

hybridner data COMMAND --help says what a command takes.

examples:
{examples}"""


@dataclass(frozen=True)
class CheckOptions(Reading):
    """Say what is in a corpus, and what in it may spoil training or scores.

    Findings, each with its count and the first places:
    - duplicate-within-split: sentences that stand in their split before
    - duplicate-across-splits: sentences that stand in another split before
    - conflicting-labels: sentences that stand elsewhere before with other tags
    - type-unseen-in-train: entities of a type that train does not have
    - no-entities: a split without any
    - repaired-tags: tags that made an invalid sequence
    - misaligned-spans: spans off the words, left out with --misaligned drop
    - long-sentence: more than 200 words
    - long-word: more than 100 characters
    - odd-characters: control characters, byte order marks, U+FFFD

    Exit code 0: read; 1: findings, with --strict; 2: lines that break their format, all of which are named.
    """

    data: Annotated[str, tyro.conf.Positional]
    """A labelled file, a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    tokenizer: str | None = None
    """Also count word pieces with this vocab.txt, tokenizer.json, or Hub id."""
    strict: bool = False
    """Exit with 1 if there are findings."""
    json: Path | None = None
    """Also write everything to this file; - prints it instead."""


@dataclass(frozen=True)
class ConvertOptions(Reading):
    """Write a labelled file, or all splits of a corpus, in another form; sentences, documents and order stay.

    Forms: conll (a word, TAB and its tag a row; other columns are left out), jsonl (words and tags), spans (a text and
    the character spans of its entities). What a form or scheme cannot hold is said.
    """

    source: Annotated[str, tyro.conf.Positional]
    """A labelled file, a folder with train, valid and test files, "sample", "conll2003", or a Hub id."""
    destination: Annotated[Path, tyro.conf.Positional]
    """The file, or for several splits the folder, to write; it must not exist yet."""
    to: Literal["conll", "jsonl", "spans"] | None = None
    """The form; by default jsonl for a file named so, else conll."""
    scheme: Literal["BIO", "IOB1", "BIOES", "BILOU", "IO"] | None = None
    """The tagging scheme to write; BIO by default."""


@dataclass(frozen=True)
class SplitOptions(Reading):
    """Cut a labelled file into train, valid and test files; lines stay as they are, byte for byte, and in order.

    What is drawn is a function of the seed alone, so the same command makes the same files everywhere.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """A labelled file."""
    folder: Annotated[Path, tyro.conf.Positional]
    """The folder to make; it must not exist yet."""
    by: Literal["document", "sentence"] = "document"
    """What is drawn: whole documents, so that none is in two splits, or sentences."""
    seed: int = 0
    """Decides what is drawn."""
    valid: float = 0.1
    """Share of the documents or sentences for the valid file; with 0 there is none."""
    test: float = 0.1
    """Share for the test file."""


def run(args: list[str]) -> int:
    """Check, convert or split data from the command line; the exit code.

    Raises:
        InputError: there is no such command, or the data is not usable.
        SystemExit: 0, after printing the help that was asked for.
    """
    if not args or args[0] in ("-h", "--help"):
        commands = "\n".join(f"  {name:<10} {about}" for name, about in _COMMANDS.items())
        print(_HELP.format(commands=commands, examples="\n".join(f"  {line}" for line in examples("hybridner data"))))
        raise SystemExit(0)
    if args[0] not in _COMMANDS:
        raise InputError(f"unknown command 'data {args[0]}'{nearest(args[0], list(_COMMANDS))}")
    return {"check": _check, "convert": _convert, "split": _split}[args[0]](args[1:])


def _check(args: list[str]) -> int:
    options = parse(CheckOptions, args, "hybridner data check")
    check_writable(options.json)
    from hybridner.corpora.checks import check_corpus
    from hybridner.corpora.checks_text import check_text
    from hybridner.text.tokenizer import load_tokenizer

    tokenizer = None if options.tokenizer is None else load_tokenizer(options.tokenizer)
    with for_people(options.json):
        check = check_corpus(options.data, options.columns(), options.misaligned, tokenizer)
        if check.splits:
            print(check_text(check, get_terminal_size().columns))
    if options.json is not None:
        write_json(options.json, check.to_dict())
    sys.stdout.flush()
    for problem in check.problems:
        print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    if check.problems:
        return USER_ERROR
    return FOUND if options.strict and check.findings else 0


def _convert(args: list[str]) -> int:
    options = parse(ConvertOptions, args, "hybridner data convert")
    _check_free(options.destination)
    is_file = Path(options.source).is_file()
    named_jsonl = is_file and options.destination.suffix.lower() == ".jsonl"
    to = options.to or ("jsonl" if named_jsonl else "conll")
    if is_file and (to == "conll") == named_jsonl:
        raise InputError(
            f"{options.destination}: {to} would be read as something else there; expected a name that "
            f"{'does not end' if named_jsonl else 'ends'} in .jsonl"
        )
    if to == "spans" and options.scheme is not None:
        raise InputError("--scheme has no meaning with --to spans, which holds no tags; leave one of them out")
    from hybridner.corpora.write import convert_corpus
    from hybridner.files.whole import written_whole

    with written_whole(options.destination) as partial:
        notes = convert_corpus(
            options.source, partial, to, options.scheme or "BIO", options.columns(), options.misaligned
        )
    print("\n".join([*notes, f"written: {options.destination}"]))
    return 0


def _split(args: list[str]) -> int:
    options = parse(SplitOptions, args, "hybridner data split")
    _check_free(options.folder)
    if options.seed < 0:
        raise InputError(f"seed must not be negative, not {options.seed}")
    from hybridner.corpora.read import read_file
    from hybridner.corpora.split import split_file
    from hybridner.display.tables import Table
    from hybridner.files.whole import written_whole

    columns = options.columns()
    with written_whole(options.folder) as partial:
        partial.mkdir()
        files = split_file(
            options.file,
            partial,
            by=options.by,
            seed=options.seed,
            valid=options.valid,
            test=options.test,
            columns=columns,
            misaligned=options.misaligned,
        )
        reports = {file: read_file(file, True, columns, options.misaligned)[1] for file in files.values()}
    rows = [
        [file.name, *(f"{n:,}" for n in (r.documents, r.sentences, r.words, sum(r.entities.values())))]
        for file, r in reports.items()
    ]
    print(Table(("", "documents", "sentences", "words", "entities"), rows, optional=(1,)).text())
    print(f"written: {options.folder}")
    return 0


def _check_free(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path}: is there already; choose a name that is free")
