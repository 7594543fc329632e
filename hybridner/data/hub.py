"""Corpora through ``datasets``: folders it saved, and the Hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybridner.data.corpus import Sentence
from hybridner.data.schemes import check_tag
from hybridner.errors import InputError

# The script of the old id is refused by datasets >= 4; the Hub keeps its tables in this revision.
_PARQUET = "refs/convert/parquet"
_CONLL2003 = "eriktks/conll2003"
_SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "dev": "valid", "test": "test"}
_WORDS, _TAGS = ("tokens", "words"), ("ner_tags", "tags", "labels")


def saved_sources(folder: Path) -> dict[str, tuple[str, Any]]:
    """The splits of a folder that ``DatasetDict.save_to_disk`` wrote."""
    import datasets

    try:
        return _sources(datasets.load_from_disk(str(folder)), str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: datasets cannot open it ({_first_line(error)})") from error


def hub_sources(name: str) -> dict[str, tuple[str, Any]]:
    """The splits of a corpus on the Hub, from its cache if it is there.

    Raises:
        InputError: the Hub is out of reach, or has no such corpus that can be read without running code.
    """
    import datasets
    import huggingface_hub

    full = _CONLL2003 if name == "conll2003" else name
    reason: Exception | None = None
    if not _hub_answers():
        # Both libraries try every request six times, 25 seconds in all; offline they go to their caches at once.
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    for revision in (_PARQUET, None) if name == "conll2003" else (None, _PARQUET):
        try:
            return _sources(datasets.load_dataset(full, revision=revision), full)
        except InputError:
            raise
        except Exception as error:  # datasets and its HTTP client raise many kinds
            reason = error
            if not _reached(error):
                break
    raise InputError(
        f"{name}: neither a folder here nor a corpus the Hub gave ({_first_line(reason)}); "
        "give a folder with train, valid and test files"
    ) from reason


def _sources(dataset: Any, where: str) -> dict[str, tuple[str, Any]]:
    found = {}
    for key in dataset:
        if key in _SPLITS:
            table = dataset[key]
            found[_SPLITS[key]] = (f"{where}/{key}", lambda table=table, key=key: _rows(table, f"{where}/{key}"))
    return found


def _rows(table: Any, where: str) -> Iterator[Sentence]:
    words_column, tags_column = _column(table, _WORDS, where), _column(table, _TAGS, where)
    feature = table.features[tags_column]
    names = getattr(getattr(feature, "feature", feature), "names", None)
    for number, row in enumerate(table, 1):
        tags = row[tags_column]
        if names is not None:
            tags = [names[tag] for tag in tags]
        elif tags and not isinstance(tags[0], str):
            raise InputError(f"{where}:{number}: column {tags_column!r} holds numbers without names")
        if len(tags) != len(row[words_column]):
            raise InputError(f"{where}:{number}: {len(row[words_column])} words and {len(tags)} tags")
        for tag in tags:
            check_tag(tag, f"{where}:{number}")
        if row[words_column]:  # a row of 0 words holds nothing to tag
            yield Sentence(tuple(row[words_column]), tuple(tags), 0, number)


def _column(table: Any, names: tuple[str, ...], where: str) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise InputError(f"{where}: no column {' or '.join(names)}; there are {', '.join(table.column_names)}")


def _hub_answers() -> bool:
    """Whether a request to the Hub comes back within 5 seconds, whatever it says."""
    import huggingface_hub

    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
    except Exception:  # the HTTP client's, offline mode's: all of them mean no answer
        return False
    return True


def _reached(error: Exception) -> bool:
    """Whether the Hub answered: then another revision may be worth a try."""
    return type(error).__name__ not in ("ConnectionError", "OfflineModeIsEnabled", "ConnectTimeout", "ConnectError")


def _first_line(error: Exception | None) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
