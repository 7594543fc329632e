"""A corpus by name: the sample, a folder, a folder saved by datasets, or the Hub."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
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
    read: dict[str, Split] = {}
    reports: dict[str, SplitReport] = {}
    for name in SPLITS:
        if name in sources and name in splits:
            where, source = sources[name]
            read[name], reports[name] = _read(where, source, notes)
    if require_train and "valid" not in read and "valid" in splits:
        _hold_out(read, reports, notes)
    labels = labels_of(reports["train"].entities) if "train" in reports else ("O",)
    return Corpus(Path(data).name, read, reports, labels, notes)


def check_types(corpus: Corpus) -> None:
    """Check that the model will know every entity type of the splits it is scored on.

    Raises:
        InputError: a type that does not stand in the train split; the message says where it first does.
    """
    known = set(corpus.labels)
    for name, split in corpus.splits.items():
        unseen = [kind for kind in corpus.reports[name].entities if f"B-{kind}" not in known]
        for sentence in split if unseen else ():
            for _, tag in zip(sentence.words, sentence.tags or (), strict=True):
                if tag != "O" and tag not in known:
                    raise InputError(
                        f"{corpus.reports[name].path}:{sentence.line}: type {tag[2:]!r} does not stand in the train "
                        f"split, which has {', '.join(corpus.reports['train'].entities) or 'none'}"
                    )


def read_file(path: Path, labelled: bool = True) -> tuple[Split, SplitReport]:
    """Read one labelled or plain file in any of the formats.

    Raises:
        InputError: it is not there or breaks its format.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return _read(str(path), lambda: read_sentences(path, labelled), [])


def _read(where: str, source: Source, notes: list[str]) -> tuple[Split, SplitReport]:
    """Read a split: once to find its scheme, once more to turn it into BIO."""
    detector = SchemeDetector()
    raw = Split.write(_watched(source(), detector, where))
    if len(raw) == 0:
        raise InputError(f"{where}: no sentence in it")
    scheme = detector.scheme()
    entities: Counter[str] = Counter()
    counts = Counter[str]()

    def converted() -> Iterator[Sentence]:
        for sentence in raw:
            counts["words"] += len(sentence.words)
            counts["documents"] = sentence.document + 1
            if sentence.tags is None:
                yield sentence
                continue
            tags, repairs = to_bio(sentence.tags, scheme)
            counts["repairs"] += repairs
            entities.update(kind for kind, _, _ in entity_spans(tags))
            yield replace(sentence, tags=tags)

    split = Split.write(converted())
    if scheme != "BIO":
        notes.append(f"{where}: scheme {scheme}, converted to BIO")
    if counts["repairs"]:
        notes.append(f"{where}: {counts['repairs']:,} tags went on with an entity that was not open; made into B-")
    report = SplitReport(
        where,
        scheme,
        len(split),
        counts["words"],
        counts["documents"],
        counts["repairs"],
        dict(sorted(entities.items())),
    )
    return split, report


def _watched(sentences: Iterable[Sentence], detector: SchemeDetector, where: str) -> Iterator[Sentence]:
    for sentence in sentences:
        detector.add(sentence.tags or (), f"{where}:{sentence.line}")
        yield sentence


def _sources(data: str, notes: list[str]) -> dict[str, tuple[str, Source]]:
    """Where each split is, and how to read it."""
    folder = Path(data)
    if folder.is_dir():
        if data in ("sample", "conll2003"):
            notes.append(f"{data}: the local folder is used, not the corpus of that name")
        if (folder / "dataset_dict.json").is_file():
            from hybridner.data.hub import saved_sources

            return saved_sources(folder)
        return _folder_sources(folder)
    if data == "sample":
        from hybridner.data.sample import sample_sentences

        return {name: (f"sample/{name}", lambda name=name: sample_sentences(name)) for name in SPLITS}  # type: ignore[misc]
    if folder.is_file():
        raise InputError(f"{folder}: a file; expected a folder with train, valid and test files")
    if data.startswith((".", "/", "~")) or data.count("/") > 1 or "\\" in data:
        raise InputError(f"{folder}: no such folder; expected one with train, valid and test files")
    from hybridner.data.hub import hub_sources

    return hub_sources(data)


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
    return {
        name: (str(found[name]), lambda path=found[name]: read_sentences(path))  # type: ignore[misc]
        for name in SPLITS
        if name in found
    }


def _hold_out(read: dict[str, Split], reports: dict[str, SplitReport], notes: list[str]) -> None:
    """Hold out a tenth of the train split's documents, or of its sentences if it has too few documents."""
    train, report = read["train"], reports["train"]
    by_document = report.documents >= 10
    units = report.documents if by_document else len(train)
    if units < 2:
        raise InputError(f"{report.path}: {units} sentence; too few to hold out a dev split, give a valid file")
    rng = np.random.Generator(np.random.Philox(_HELD_OUT_SEED))
    held = set(rng.permutation(units)[: max(1, units // 10)].tolist())

    def part(is_held: bool) -> Iterator[Sentence]:
        for number, sentence in enumerate(train):
            if ((sentence.document if by_document else number) in held) == is_held:
                yield sentence

    for name, is_held in (("valid", True), ("train", False)):
        read[name], reports[name] = _read(report.path, lambda is_held=is_held: part(is_held), [])  # type: ignore[misc]
    unit = "documents" if by_document else "sentences"
    notes.append(f"no dev split: {len(held):,} of {units:,} {unit} of the train split are held out for it")
