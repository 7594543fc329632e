"""A corpus by name: the sample, a folder, a folder saved by datasets, or the Hub."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from hybridner.data.corpus import Corpus, Sentence, Split, SplitReport
from hybridner.data.formats import SUFFIXES, read_sentences
from hybridner.data.labels import labels_of
from hybridner.data.schemes import SchemeDetector, entity_spans, to_bio
from hybridner.errors import InputError

SPLITS = ("train", "valid", "test")
_ALIASES = {
    "train": "train",
    **dict.fromkeys(("valid", "validation", "dev", "development", "testa"), "valid"),
    **dict.fromkeys(("test", "testb"), "test"),
}
_HELD_OUT_SEED = 0
_FEWEST_DOCUMENTS = 10
Source = Callable[[], Iterable[Sentence]]


def read_corpus(data: str, *, require_train: bool = True, splits: tuple[str, ...] = SPLITS) -> Corpus:
    """Read a corpus, check it and turn its tags into BIO.

    Args:
        data: "sample", a folder with train, valid and test files, a folder saved by datasets, "conll2003", or a
            Hub id. A local folder wins.
        require_train: whether the corpus is to be trained on: the train split must be there, and without a dev split
            a tenth of it is held out.
        splits: which to read.

    Raises:
        InputError: nothing is there, or it breaks its format.
    """
    notes: list[str] = []
    sources = _sources(data, notes)
    if require_train and "train" not in sources:
        raise InputError(
            f"{data}: no train split; expected a file such as train.txt, found {', '.join(sources) or 'none'}"
        )
    if not require_train and not set(splits) & set(sources):
        raise InputError(f"{data}: no {' or '.join(splits)} split; there are {', '.join(sources)}")
    read: dict[str, Split] = {}
    reports: dict[str, SplitReport] = {}
    for name in SPLITS:
        if name in sources and name in splits:
            where, source = sources[name]
            read[name], reports[name] = _read(where, source, notes)
    if require_train and "valid" not in read and "valid" in splits:
        _hold_out(sources["train"], read, reports, notes)
    labels = labels_of(reports["train"].entities) if "train" in reports else ("O",)
    return Corpus(Path(data).name or Path(data).resolve().name, read, reports, labels, notes)


def split_name(name: str) -> str:
    """The split that ``name`` or an alias of it, such as "dev", means.

    Raises:
        InputError: it means none.
    """
    if name not in _ALIASES:
        raise InputError(f"unknown split {name!r}; there are {', '.join(SPLITS)}")
    return _ALIASES[name]


def check_types(corpus: Corpus) -> None:
    """Check that the model will know every entity type of the splits it is scored on.

    Raises:
        InputError: a type that does not stand in the train split; the message names the split it stands in and the
            sentence it first does.
    """
    known = set(corpus.labels)
    for name, split in corpus.splits.items():
        unseen = [kind for kind in corpus.reports[name].entities if f"B-{kind}" not in known]
        for sentence in split if unseen else ():
            for tag in sentence.tags or ():
                if tag not in known:
                    raise InputError(
                        f"{corpus.reports[name].path}:{sentence.line}: type {tag[2:]!r} in the {name} split does not "
                        f"stand in the train split, which has {', '.join(corpus.reports['train'].entities) or 'none'}"
                    )


def read_file(path: Path, labelled: bool = True) -> tuple[Split, SplitReport]:
    """Read one labelled or plain file in any of the formats.

    Raises:
        InputError: it is not there or breaks its format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _read(str(path), partial(read_sentences, path, labelled), [])


def _read(where: str, source: Source, notes: list[str]) -> tuple[Split, SplitReport]:
    """Read a split: once to find its scheme, once more to turn it into BIO."""
    detector = SchemeDetector()
    raw = Split.write(_watched(source(), detector, where))
    if len(raw) == 0:
        raise InputError(f"{where}: no sentence in it; expected at least one")
    split, report = _in_bio(where, raw, detector.scheme())
    if report.scheme != "BIO":
        notes.append(f"{where}: scheme {report.scheme}, converted to BIO")
    if report.repairs:
        plural = "s" * (report.repairs != 1)
        notes.append(f"{where}: {report.repairs:,} repair{plural}: a tag goes on with an entity that is not open")
    return split, report


def _in_bio(where: str, sentences: Iterable[Sentence], scheme: str) -> tuple[Split, SplitReport]:
    entities: Counter[str] = Counter()
    words = documents = repairs = 0

    def converted() -> Iterator[Sentence]:
        nonlocal words, documents, repairs
        last_document = -1
        for sentence in sentences:
            words += len(sentence.words)
            documents += sentence.document != last_document
            last_document = sentence.document
            if sentence.tags is None:
                yield sentence
                continue
            tags, repaired = to_bio(sentence.tags, scheme)
            repairs += repaired
            entities.update(kind for kind, _, _ in entity_spans(tags))
            yield replace(sentence, tags=tags)

    split = Split.write(converted())
    report = SplitReport(where, scheme, len(split), words, documents, repairs, dict(sorted(entities.items())))
    return split, report


def _watched(sentences: Iterable[Sentence], detector: SchemeDetector, where: str) -> Iterator[Sentence]:
    for sentence in sentences:
        detector.add(sentence.tags or (), f"{where}:{sentence.line}")
        yield sentence


def _sources(data: str, notes: list[str]) -> dict[str, tuple[str, Source]]:
    """Where each split is, and how to read it."""
    folder = Path(data)
    if folder.is_dir():
        if not _is_path(data):
            notes.append(f"{data}: the local folder is read, not a corpus of that name")
        if (folder / "dataset_dict.json").is_file():
            from hybridner.data.hub import saved_sources

            return saved_sources(folder)
        return _folder_sources(folder)
    if data == "sample":
        from hybridner.data.sample import SampleSplit, sample_sentences

        names: tuple[SampleSplit, ...] = ("train", "valid", "test")
        return {name: (f"sample/{name}", partial(sample_sentences, name)) for name in names}
    if folder.is_file():
        raise InputError(f"{folder}: a file; expected a folder with train, valid and test files")
    if _is_path(data):
        raise InputError(f"{folder}: no such folder; expected one with train, valid and test files")
    from hybridner.data.hub import hub_sources

    return hub_sources(data)


def _is_path(data: str) -> bool:
    """Whether ``data`` can only be a path: a Hub id is NAME or OWNER/NAME."""
    return data.startswith((".", "/", "~")) or data.endswith("/") or data.count("/") > 1 or "\\" in data


def _folder_sources(folder: Path) -> dict[str, tuple[str, Source]]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        parts = path.name.lower().split(".")
        if not path.is_file() or (path.suffix.lower() not in SUFFIXES and parts[-1] not in _ALIASES):
            continue
        # train.txt, or eng.train: one part of the name is the split's.
        names = {_ALIASES[part] for part in parts if part in _ALIASES}
        if len(names) != 1:
            continue
        name = names.pop()
        if name in found:
            raise InputError(f"{folder}: {found[name].name} and {path.name} are both the {name} split; keep one")
        found[name] = path
    if not found:
        raise InputError(
            f"{folder}: no train, valid or test file in it; expected train.txt or the like "
            f"({', '.join(SUFFIXES)}; sub-folders are not entered)"
        )
    return {name: (str(found[name]), partial(read_sentences, found[name])) for name in SPLITS if name in found}


def _hold_out(
    source: tuple[str, Source], read: dict[str, Split], reports: dict[str, SplitReport], notes: list[str]
) -> None:
    """Hold out a tenth of the train split's documents, or of its sentences if it has too few documents."""
    report = reports["train"]
    where, sentences = source
    by_document = report.documents >= _FEWEST_DOCUMENTS
    units = report.documents if by_document else report.sentences
    if units < 2:
        raise InputError(f"{where}: {units} sentence; too few to hold out a dev split, give a valid file")
    rng = np.random.Generator(np.random.Philox(_HELD_OUT_SEED))
    held = set(rng.permutation(units)[: max(1, units // 10)].tolist())

    def part(is_held: bool) -> Iterator[Sentence]:
        for number, sentence in enumerate(sentences()):
            if ((sentence.document if by_document else number) in held) == is_held:
                yield sentence

    # The scheme is the whole file's: a part may have too few entities to tell it.
    for name, is_held in (("valid", True), ("train", False)):
        read[name], reports[name] = _in_bio(where, part(is_held), report.scheme)
    unit = "documents" if by_document else "sentences"
    notes.append(f"no dev split: {len(held):,} of {units:,} {unit} of the train split are held out for it")
