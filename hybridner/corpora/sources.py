"""Sources of a corpus's splits: the sample, a folder's files, a folder saved by datasets, or the Hub."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.formats import PLAIN, SUFFIXES, ColumnFormat, read_sentences
from hybridner.corpora.issues import Issues
from hybridner.corpora.splits import SPLIT_ALIASES, SPLITS, Source, Sources, SplitName, assign_splits
from hybridner.errors import InputError
from hybridner.files.paths import inside

_ENDS = (*SUFFIXES, *(f".{alias}" for alias in SPLIT_ALIASES))


def find_sources(
    data: str, notes: list[str], columns: ColumnFormat = PLAIN, misaligned: Misaligned = "error"
) -> Sources:
    """Find the splits of a corpus: for each its path, for messages, and a function that reads it.

    ``notes`` receives a note about the choice; see :func:`hybridner.corpora.read.read_corpus` for the other arguments.

    Raises:
        InputError: there is no such corpus.
    """
    folder = Path(data)
    # A Hub id is NAME or OWNER/NAME.
    is_path = data.startswith((".", "/", "~")) or data.endswith("/") or data.count("/") > 1 or "\\" in data
    if folder.is_dir():
        if not is_path:
            notes.append(f"{data}: the local folder is read, not a corpus of that name")
        if (folder / "dataset_dict.json").is_file():
            from hybridner.corpora.hub import saved_sources

            return saved_sources(folder)
        return _folder_sources(folder, columns, misaligned)
    if data == "sample":
        return {name: (f"sample/{name}", partial(_sample, name)) for name in SPLITS}
    if folder.is_file():
        raise InputError(f"{folder}: a file; expected a folder with train, valid and test files")
    if is_path:
        raise InputError(f"{folder}: no such folder; expected one with train, valid and test files")
    from hybridner.corpora.hub import hub_sources

    return hub_sources(data)


def file_source(path: Path, columns: ColumnFormat, misaligned: Misaligned) -> tuple[str, Source]:
    """Return a file's path and a function that reads it."""
    return str(path), partial(read_sentences, path, columns, misaligned)


def _sample(name: SplitName, _: Issues) -> Iterator[Sentence]:
    from hybridner.corpora.sample import sample_sentences

    return sample_sentences(name)


def _folder_sources(folder: Path, columns: ColumnFormat, misaligned: Misaligned) -> Sources:
    names = [
        path.name for path in sorted(folder.iterdir()) if path.is_file() and f".{path.name}".lower().endswith(_ENDS)
    ]
    files = assign_splits(names, str(folder))
    if not files and (folder / "dataset_info.json").is_file():
        raise InputError(f"{folder}: a single table saved by datasets; put its splits into a DatasetDict and save that")
    if not files:
        raise InputError(
            f"{folder}: no train, valid or test file in it; expected train.txt or the like "
            f"({', '.join(SUFFIXES)}; sub-folders are not entered)"
        )
    return {name: file_source(inside(folder, files[name]), columns, misaligned) for name in SPLITS if name in files}
