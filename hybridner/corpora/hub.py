"""Corpora through ``datasets``: folders it saved, and the Hub."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.schemes import check_tag
from hybridner.corpora.splits import Sources
from hybridner.errors import InputError, first_line
from hybridner.files.hub import asked
from hybridner.files.paths import check_links, inside
from hybridner.files.reading import read_json

# The script of the old id is refused by datasets >= 4; the Hub keeps its tables in this revision.
_PARQUET = "refs/convert/parquet"
_CONLL2003 = "eriktks/conll2003"
_SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "dev": "valid", "test": "test"}
_WORDS, _TAGS, _DOCUMENT = ("tokens", "words"), ("ner_tags", "tags", "labels"), "document"


def saved_sources(folder: Path) -> Sources:
    """Find the splits in a folder that ``DatasetDict.save_to_disk`` wrote.

    Raises:
        InputError: it cannot be opened, two of its tables are the same split, or it leads out of the folder.
    """
    import datasets

    try:
        _check_saved(folder)
        dataset = datasets.load_from_disk(str(folder))
        for table in dataset.values():
            table.data.table.validate(full=True)  # pyarrow follows damaged offsets out of the file
        return _sources(dataset, str(folder))
    except InputError:
        raise
    except Exception as error:  # datasets raises many kinds
        raise InputError(f"{folder}: datasets cannot open it ({type(error).__name__}: {first_line(error)})") from error


def _check_saved(folder: Path) -> None:
    """See that the tables that a saved folder's JSON names lie in it: ``datasets`` opens any path.

    Raises:
        InputError: one leads out of it.
        KeyError, TypeError: it names none.
    """
    check_links(folder)
    for split in read_json(folder / "dataset_dict.json")["splits"]:
        for table in read_json(inside(folder, f"{split}/state.json"))["_data_files"]:
            inside(folder, f"{split}/{table['filename']}")


def hub_sources(name: str) -> Sources:
    """Return the splits of a corpus on the Hub; if the Hub does not answer, of the copy in its cache.

    Raises:
        InputError: the Hub is out of reach, or has no such corpus that can be read without running code.
    """
    import datasets

    full = _CONLL2003 if name == "conll2003" else name
    failed = f"{name}: neither a folder here nor a corpus the Hub gave; give a folder with train, valid and test files"
    first, second = (_PARQUET, None) if name == "conll2003" else (None, _PARQUET)
    with asked(failed) as hub:

        def sources(revision: str | None) -> Sources:
            # Given a name on the Hub, load_dataset tries each request six times; this tries once, then the cache.
            folder = hub.snapshot_download(full, repo_type="dataset", revision=revision)
            return _sources(datasets.load_dataset(folder), full)

        try:
            return sources(first)
        except InputError:
            raise
        except Exception:  # datasets and the Hub's client raise many kinds
            return sources(second)


def _sources(dataset: Any, where: str) -> Sources:
    found: Sources = {}
    keys: dict[str, str] = {}
    for key in dataset:
        name = _SPLITS.get(key)
        if name is None:
            continue
        if name in found:
            raise InputError(f"{where}: {keys[name]} and {key} are both the {name} split; keep one")
        keys[name] = key
        found[name] = (f"{where}/{key}", partial(_rows, dataset[key], f"{where}/{key}"))
    return found


def _rows(table: Any, where: str, issues: Issues) -> Iterator[Sentence]:
    try:
        yield from _sentences(table, where, issues)
    except InputError:
        raise
    except Exception as error:  # datasets raises many kinds where its JSON and its tables do not fit together
        raise InputError(f"{where}: datasets cannot read it ({type(error).__name__}: {first_line(error)})") from error


def _sentences(table: Any, where: str, issues: Issues) -> Iterator[Sentence]:
    words_column, tags_column = _column(table, _WORDS, where), _column(table, _TAGS, where)
    has_documents = _DOCUMENT in table.column_names
    names = _class_names(table.features[tags_column])
    document, previous = -1, object()
    # In a column of images or sounds, a row would open whatever path or address a stranger has put there.
    needed = [words_column, tags_column, *([_DOCUMENT] if has_documents else [])]
    for column in needed:
        kind = type(_inner(table.features[column])).__name__
        if kind not in ("Value", "ClassLabel"):
            raise InputError(f"{where}: column {column!r} holds {kind}, expected strings, numbers or classes")
    for number, row in enumerate(table.select_columns(needed), 1):
        try:
            words = _words(row[words_column], f"{where}:{number}: column {words_column!r}")
            tags = _tags(row[tags_column], names, f"{where}:{number}: column {tags_column!r}")
            if len(tags) != len(words):
                raise InputError(f"{where}:{number}: {len(words)} words and {len(tags)} tags; expected as many of each")
            for tag in tags:
                check_tag(tag, f"{where}:{number}")
        except InputError as error:
            issues.add(error)
            continue
        key = row[_DOCUMENT] if has_documents else None
        if key != previous:
            document, previous = document + 1, key
        if words:  # a row of 0 words holds nothing to tag
            yield Sentence(words, tags, document, number)


def _class_names(feature: Any) -> Sequence[str] | None:
    """Names of the classes of a column of lists; None where it holds no classes."""
    return getattr(_inner(feature), "names", None)


def _inner(feature: Any) -> Any:
    """Unwrap the type of a column's values, or of the values of its lists, however ``datasets`` nests them."""
    if isinstance(feature, list):
        feature = feature[0]
    return getattr(feature, "feature", feature)


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise InputError(f"{where} is not a list of strings")
    return tuple(value)


def _tags(value: Any, names: Sequence[str] | None, where: str) -> tuple[str, ...]:
    if names is None:
        if isinstance(value, list) and any(isinstance(tag, int) for tag in value):
            raise InputError(f"{where} holds numbers without names; make it a list of ClassLabel(names=[...])")
        return _words(value, where)
    if not isinstance(value, list) or not all(isinstance(tag, int) and 0 <= tag < len(names) for tag in value):
        raise InputError(f"{where}: {value!r:.80}; expected a list of numbers from 0 to {len(names) - 1}")
    return tuple(names[tag] for tag in value)


def _column(table: Any, names: tuple[str, ...], where: str) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise InputError(f"{where}: no column {' or '.join(names)}; there are {', '.join(table.column_names)}")
