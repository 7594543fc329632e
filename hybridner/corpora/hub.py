"""Corpora through ``datasets``: folders it saved, and the Hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.issues import Issues
from hybridner.corpora.jsonl import DOCUMENT, TAGS, WORDS, find_key, read_records
from hybridner.corpora.splits import Sources, assign_splits
from hybridner.errors import InputError, first_line
from hybridner.files.hub import asked
from hybridner.files.paths import check_links, inside
from hybridner.files.reading import read_json


def saved_sources(folder: Path) -> Sources:
    """Find the splits in a folder that ``DatasetDict.save_to_disk`` wrote.

    Raises:
        InputError: it cannot be opened, two of its tables are the same split, or it leads out of the folder.
    """
    import datasets

    with _refused(f"{folder}: datasets cannot open it"):
        check_links(folder)
        # datasets opens any path that these files name.
        for split in read_json(folder / "dataset_dict.json")["splits"]:
            for table in read_json(inside(folder, f"{split}/state.json"))["_data_files"]:
                inside(folder, f"{split}/{table['filename']}")
        dataset = datasets.load_from_disk(str(folder))
        for table in dataset.values():
            table.data.table.validate(full=True)  # pyarrow follows damaged offsets out of the file
        return _sources(dataset, str(folder))


def hub_sources(name: str) -> Sources:
    """Return the splits of a corpus on the Hub; if the Hub does not answer, of the copy in its cache.

    Raises:
        InputError: the Hub is out of reach, or has no such corpus that can be read without running code.
    """
    import datasets

    full = "eriktks/conll2003" if name == "conll2003" else name
    failed = f"{name}: neither a folder here nor a corpus the Hub gave; give a folder with train, valid and test files"
    with asked(failed) as hub:

        def sources(revision: str | None) -> Sources:
            # Given a name on the Hub, load_dataset tries each request six times; this tries once, then the cache.
            folder = hub.snapshot_download(full, repo_type="dataset", revision=revision)
            return _sources(datasets.load_dataset(folder), full)

        try:
            return sources(None)
        except InputError:
            raise
        except Exception:  # datasets and the Hub's client raise many kinds
            # datasets >= 4 refuses a corpus that is a script; the Hub keeps its tables in this revision.
            return sources("refs/convert/parquet")


@contextmanager
def _refused(failed: str) -> Iterator[None]:
    """Turn an error of ``datasets`` into one line that begins with ``failed``."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # datasets raises many kinds
        raise InputError(f"{failed} ({type(error).__name__}: {first_line(error)})") from error


def _sources(dataset: Any, where: str) -> Sources:
    return {
        name: (f"{where}/{key}", partial(_sentences, dataset[key], f"{where}/{key}"))
        for name, key in assign_splits(dataset, where).items()
    }


def _sentences(table: Any, where: str, issues: Issues) -> Iterator[Sentence]:
    with _refused(f"{where}: datasets cannot read it"):
        words, tags = find_key(table.column_names, WORDS, where), find_key(table.column_names, TAGS, where)
        types = {name: _inner(table.features[name]) for name in (words, tags, DOCUMENT) if name in table.column_names}
        to_names = getattr(types[tags], "int2str", None)
        # In a column of images or sounds, a row would open whatever path or address a stranger has put there.
        for column, kind in types.items():
            known = type(kind).__name__ in ("Value", "ClassLabel")
            if not known or (column == tags and to_names is None and "int" in kind.dtype):
                raise InputError(
                    f"{where}: column {column!r} holds {kind!r:.80}; expected strings or ClassLabel(names=[...])"
                )

        def record(row: dict[str, Any], at: str) -> dict[str, Any] | None:
            try:
                row[tags] = to_names(row[tags]) if to_names else row[tags]
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{at}: column {tags!r} holds {row[tags]!r:.80}; expected a list of numbers from 0 to "
                    f"{types[tags].num_classes - 1}"
                ) from error
            return None if row[words] == [] else row

        rows = enumerate(table.select_columns(list(types)), 1)
        yield from read_records(where, rows, record, "error", issues)


def _inner(feature: Any) -> Any:
    """Unwrap the type of a column's values, or of the values of its lists, however ``datasets`` nests them."""
    if isinstance(feature, list):
        feature = feature[0]
    return getattr(feature, "feature", feature)
