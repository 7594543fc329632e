"""One labelled file divided into train, valid and test files, its lines unchanged."""

from array import array
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from hybridner.config.choices import Misaligned
from hybridner.corpora.formats import PLAIN, SUFFIXES, ColumnFormat, begins_document, is_break, read_sentences
from hybridner.corpora.read import count_of
from hybridner.corpora.splits import SPLITS
from hybridner.errors import InputError

Unit = Literal["document", "sentence"]


def split_file(
    path: Path,
    folder: Path,
    *,
    by: Unit = "document",
    seed: int = 0,
    valid: float = 0.1,
    test: float = 0.1,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> dict[str, Path]:
    """Draw documents or sentences at random into train, valid and test files, and return the files by split.

    The draw is a function of their number, the shares and ``seed``. Each line of ``path`` is copied unchanged and in
    order to one of the files; if sentences of one document go to several files, each gets the document's
    ``-DOCSTART-`` row. A line of JSONL is never divided.

    Args:
        path: a labelled file in any of the formats.
        folder: an empty folder to write to.
        by: unit of the draw.
        seed: seed of the draw.
        valid: share of the documents or sentences for the valid file; 0 makes none.
        test: share for the test file.
        columns: as in :func:`hybridner.corpora.formats.read_sentences`.
        misaligned: as there.

    Raises:
        InputError: the file breaks its format, has too few documents or sentences, or the shares leave none for train.
    """
    if min(valid, test) < 0 or valid + test >= 1:
        raise InputError(f"shares of {valid} for valid and {test} for test; expected at least 0, and below 1 in sum")
    lines, documents = array("q"), array("q")
    for sentence in read_sentences(path, columns, misaligned):
        if not lines or sentence.line != lines[-1]:
            lines.append(sentence.line)
            documents.append(sentence.document)
    units = np.array(documents) if by == "document" else np.arange(len(lines))
    names = _draw(path, int(units[-1]) + 1 if len(units) else 0, by, seed, {"valid": valid, "test": test})[units]
    suffix = path.suffix.lower() if path.suffix.lower() in SUFFIXES else ".txt"
    files: dict[str, Path] = {name: folder / f"{name}{suffix}" for name in SPLITS if name in names}
    with ExitStack() as stack:
        outputs: dict[str, BinaryIO] = {name: stack.enter_context(file.open("wb")) for name, file in files.items()}
        source = stack.enter_context(path.open("rb"))
        targets = [outputs[name] for name in names.tolist()]
        _copy(source, targets, lines, documents, columns)
    return files


def _draw(path: Path, count: int, by: Unit, seed: int, shares: dict[str, float]) -> np.ndarray:
    """Assign each of ``count`` units to a split; return their names [count]."""
    sizes = {name: max(1, round(share * count)) for name, share in shares.items() if share > 0}
    if sum(sizes.values()) >= count:
        found = f"{path}: {count_of(count, by)}, too few to split"
        if by == "document":
            found += ' by document (a -DOCSTART- row, or another "document" in JSONL, begins one); use --by sentence'
        raise InputError(found)
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    names = np.full(count, "train", dtype="<U5")
    for name, size in sizes.items():
        names[order[:size]] = name
        order = order[size:]
    return names


def _copy(
    source: BinaryIO, targets: list[BinaryIO], starts: "array[int]", documents: "array[int]", columns: ColumnFormat
) -> None:
    """Copy the rows of each sentence, and the comments and document rows before it, to its target."""
    before: list[bytes] = []
    header, begins = b"", False  # the row that began the document
    last_document: dict[BinaryIO, int] = {}
    sentence, in_rows = -1, False
    for number, raw in enumerate(source, 1):
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        if sentence + 1 < len(starts) and number == starts[sentence + 1]:
            sentence, in_rows = sentence + 1, True
            target, document = targets[sentence], documents[sentence]
            if not begins and last_document.get(target, document) != document:
                target.write(header)
            last_document[target] = document
            target.writelines([*before, raw])
            before, begins = [], False
        elif begins_document(line):
            before.append(raw)
            header, begins, in_rows = raw, True, False
        elif sentence >= 0 and not before and (in_rows or not columns.is_comment(line)):
            targets[sentence].write(raw)
            in_rows = in_rows and (columns.is_comment(line) or not is_break(line))
        else:
            before.append(raw)
            in_rows = False
    targets[-1].writelines(before)
