"""The places of a corpus's splits: the sample, a folder's files, a folder saved by datasets, or the Hub."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence
from hybridner.corpora.formats import PLAIN, SUFFIXES, ColumnFormat, read_sentences
from hybridner.corpora.issues import Issues
from hybridner.corpora.splits import SPLIT_ALIASES, SPLITS, Source, Sources, SplitName
from hybridner.errors import InputError
from hybridner.files.paths import inside


def find_sources(
    data: str, notes: list[str], columns: ColumnFormat = PLAIN, misaligned: Misaligned = "error"
) -> Sources:
    """For each split of a corpus where it is, and how to read it.

    Args:
        data: "sample", a folder, "conll2003", or a Hub id. A local folder wins.
        notes: takes what has to be said about the choice.
        columns: where the word and its tag stand, in files of columns.
        misaligned: what becomes of spans that do not fall on word boundaries.

    Raises:
        InputError: nothing is there.
    """
    folder = Path(data)
    if folder.is_dir():
        if not _is_path(data):
            notes.append(f"{data}: the local folder is read, not a corpus of that name")
        if (folder / "dataset_dict.json").is_file():
            from hybridner.corpora.hub import saved_sources

            return saved_sources(folder)
        return _folder_sources(folder, columns, misaligned)
    if data == "sample":
        return {name: (f"sample/{name}", partial(_sample, name)) for name in SPLITS}
    if folder.is_file():
        raise InputError(f"{folder}: a file; expected a folder with train, valid and test files")
    if _is_path(data):
        raise InputError(f"{folder}: no such folder; expected one with train, valid and test files")
    from hybridner.corpora.hub import hub_sources

    return hub_sources(data)


def file_source(path: Path, labelled: bool, columns: ColumnFormat, misaligned: Misaligned) -> tuple[str, Source]:
    """Return a file's path and a function that reads it."""
    return str(path), partial(read_sentences, path, labelled, columns, misaligned)


def _sample(name: SplitName, _: Issues) -> Iterator[Sentence]:
    from hybridner.corpora.sample import sample_sentences

    return sample_sentences(name)


def _is_path(data: str) -> bool:
    """Check that ``data`` can only be a path: a Hub id is NAME or OWNER/NAME."""
    return data.startswith((".", "/", "~")) or data.endswith("/") or data.count("/") > 1 or "\\" in data


def _folder_sources(folder: Path, columns: ColumnFormat, misaligned: Misaligned) -> Sources:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        parts = path.name.lower().split(".")
        if not path.is_file() or (path.suffix.lower() not in SUFFIXES and parts[-1] not in SPLIT_ALIASES):
            continue
        # train.txt, or eng.train: one part of the name is the split's.
        names = {SPLIT_ALIASES[part] for part in parts if part in SPLIT_ALIASES}
        if len(names) != 1:
            continue
        name = names.pop()
        if name in found:
            raise InputError(f"{folder}: {found[name].name} and {path.name} are both the {name} split; keep one")
        found[name] = inside(folder, path.name)
    if not found and (folder / "dataset_info.json").is_file():
        raise InputError(f"{folder}: a single table saved by datasets; put its splits into a DatasetDict and save that")
    if not found:
        raise InputError(
            f"{folder}: no train, valid or test file in it; expected train.txt or the like "
            f"({', '.join(SUFFIXES)}; sub-folders are not entered)"
        )
    return {name: file_source(found[name], True, columns, misaligned) for name in SPLITS if name in found}
