"""``hybridner data check``, ``convert`` and ``split``."""

import sys
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Literal

from cyclopts import Parameter

from hybridner.cli.output import check_writable, for_people, write_json
from hybridner.cli.parse import USER_ERROR
from hybridner.cli.reading import Reading
from hybridner.errors import InputError


def check(
    data: str | Path,
    /,
    *,
    reading: Reading = Reading(),
    tokenizer: str | Path | None = None,
    strict: bool = False,
    json: Path | None = None,
) -> int:
    """Describe a corpus and list the problems in it that may harm training or scores.

    Each problem is reported with its count and the first places:
    - duplicate-within-split: sentence appears earlier in the same split
    - duplicate-across-splits: sentence appears earlier in another split
    - conflicting-labels: sentence appears earlier with other tags
    - type-unseen-in-train: entity of a type that train does not have
    - no-entities: split without any entity
    - repaired-tags: tags that formed an invalid sequence
    - misaligned-spans: spans off word boundaries, dropped with --misaligned drop
    - long-sentence: more than 200 words
    - long-word: more than 100 characters
    - odd-characters: control characters, byte order marks, U+FFFD

    Exit code 0: read; 1: problems found, with --strict; 2: lines that break their format, each of which is named.

    Args:
        data: A labelled file, a folder with train, dev and test files, "sample", "conll2003", or a Hub id.
        reading: The format of the files.
        tokenizer: Also count word pieces with this vocab.txt, tokenizer.json, or Hub id.
        strict: Exit with 1 if problems are found.
        json: Also write everything to this file; - prints it instead.
    """
    check_writable(json)
    from hybridner.corpora.checks import check_corpus
    from hybridner.corpora.checks_text import check_text
    from hybridner.text.tokenizer import load_tokenizer

    pieces = None if tokenizer is None else load_tokenizer(str(tokenizer))
    with for_people(json):
        found = check_corpus(str(data), reading.columns(), reading.misaligned, pieces)
        if found.splits:
            print(check_text(found, get_terminal_size().columns))
    if json is not None:
        write_json(json, found.to_dict())
    sys.stdout.flush()
    for problem in found.problems:
        print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    return USER_ERROR if found.problems else int(strict and bool(found.findings))


def convert(
    source: str | Path,
    destination: Path,
    /,
    *,
    reading: Reading = Reading(),
    to: Literal["conll", "jsonl", "spans"] | None = None,
    scheme: Literal["BIO", "IOB1", "BIOES", "BILOU", "IO"] | None = None,
) -> None:
    """Write a labelled file, or all splits of a corpus, in another format; sentences, documents and order stay.

    Formats: conll (a word, TAB and its tag per row; other columns are dropped), jsonl (words and tags), spans (a text
    and the character spans of its entities). Anything that a format or scheme cannot express is reported.

    Args:
        source: A labelled file, a folder with train, dev and test files, "sample", "conll2003", or a Hub id.
        destination: The file, or for several splits the folder, to write; it must not exist yet.
        reading: The format of the source.
        to: The format to write; by default jsonl for a file with that suffix, else conll.
        scheme: The tagging scheme to write; BIO by default.
    """
    _check_free(destination)
    is_file = Path(source).is_file()
    named_jsonl = is_file and destination.suffix.lower() == ".jsonl"
    to = to or ("jsonl" if named_jsonl else "conll")
    if is_file and (to == "conll") == named_jsonl:
        raise InputError(
            f"{destination}: a reader would not take this file for {to}; expected a name that "
            f"{'does not end' if named_jsonl else 'ends'} in .jsonl"
        )
    if to == "spans" and scheme is not None:
        raise InputError("--scheme has no meaning with --to spans, which has no tags; leave one of them out")
    from hybridner.corpora.write import convert_corpus
    from hybridner.files.whole import written_whole

    with written_whole(destination) as partial:
        notes = convert_corpus(str(source), partial, to, scheme or "BIO", reading.columns(), reading.misaligned)
    print("\n".join([*notes, f"written: {destination}"]))


def split(
    file: Path,
    folder: Path,
    /,
    *,
    reading: Reading = Reading(),
    by: Literal["document", "sentence"] = "document",
    seed: int = 0,
    dev: Annotated[float, Parameter(alias="--valid")] = 0.1,
    test: float = 0.1,
) -> None:
    """Split a labelled file at random into train, dev and test files; lines stay byte for byte and in order.

    The split depends on the seed alone, so the same command makes the same files everywhere.

    Args:
        file: A labelled file.
        folder: The folder to create; it must not exist yet.
        reading: The format of the file.
        by: Draw whole documents, which keeps each in one split, or single sentences.
        seed: Seed of the random split.
        dev: Share of the documents or sentences for the dev file; 0 for no such file.
        test: Share for the test file.
    """
    _check_free(folder)
    if seed < 0:
        raise InputError(f"seed must not be negative, not {seed}")
    from hybridner.corpora.read import read_file
    from hybridner.corpora.split import split_file
    from hybridner.display.tables import Table
    from hybridner.files.whole import written_whole

    columns, misaligned, rows = reading.columns(), reading.misaligned, []
    with written_whole(folder) as partial:
        partial.mkdir()
        files = split_file(
            file, partial, by=by, seed=seed, valid=dev, test=test, columns=columns, misaligned=misaligned
        )
        for path in files.values():
            report = read_file(path, columns, misaligned)[1]
            counts = (report.documents, report.sentences, report.words, sum(report.entities.values()))
            rows.append([path.name, *(f"{count:,}" for count in counts)])
    print(Table(("", "documents", "sentences", "words", "entities"), rows, optional=(1,)).text())
    print(f"written: {folder}")


def _check_free(path: Path) -> None:
    if path.exists():
        raise InputError(f"{path}: exists already; choose another name")
