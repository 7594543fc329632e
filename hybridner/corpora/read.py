"""A corpus by name: the sample, a folder, a folder saved by datasets, or the Hub."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Corpus, Sentence, Split, SplitReport
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.issues import Issues
from hybridner.corpora.labels import labels_of
from hybridner.corpora.schemes import SchemeDetector, entity_spans, to_bio
from hybridner.corpora.sources import file_source, find_sources
from hybridner.corpora.splits import SPLITS, Source, split_name
from hybridner.errors import InputError

__all__ = ["check_types", "count_of", "read_corpus", "read_file", "read_split", "split_name"]
_HELD_OUT_SEED = 0
_FEWEST_DOCUMENTS = 10
_REPAIRS_NAMED = 3


def read_corpus(
    data: str,
    *,
    require_train: bool = True,
    splits: tuple[str, ...] = SPLITS,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> Corpus:
    """Read a corpus, check it and turn its tags into BIO.

    Args:
        data: "sample", a folder with train, valid and test files, a folder saved by datasets, "conll2003", or a
            Hub id. A local folder wins.
        require_train: whether the corpus is to be trained on: the train split must be there, and without a dev split
            a tenth of it is held out.
        splits: which to read.
        columns: where the word and its tag stand, in files of columns.
        misaligned: what becomes of spans that do not fall on word boundaries, in files of texts: "error", or "drop" to
            leave them out and say how many.

    Raises:
        InputError: nothing is there, or it breaks its format.
    """
    notes: list[str] = []
    sources = find_sources(data, notes, columns, misaligned)
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
            read[name], reports[name] = read_split(where, source, notes)
    if require_train and "valid" not in read and "valid" in splits:
        _hold_out(sources["train"], read, reports, notes)
    labels = labels_of(reports["train"].entities) if "train" in reports else ("O",)
    return Corpus(Path(data).name or Path(data).resolve().name, read, reports, labels, notes)


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


def read_file(
    path: Path, labelled: bool = True, columns: ColumnFormat = PLAIN, misaligned: Misaligned = "error"
) -> tuple[Split, SplitReport]:
    """Read one labelled or plain file in any of the formats.

    Raises:
        InputError: it is not there or breaks its format.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return read_split(*file_source(path, labelled, columns, misaligned), [])


def read_split(where: str, source: Source, notes: list[str], issues: Issues | None = None) -> tuple[Split, SplitReport]:
    """Read a split: once to find its scheme, once more to turn it into BIO.

    Args:
        where: what it is read from.
        source: gives its sentences.
        notes: takes what has to be said about it.
        issues: takes what is wrong with it; by default the first problem is raised.

    Raises:
        InputError: it breaks its format, mixes schemes, or holds no sentence.
    """
    issues = issues or Issues()
    detector = SchemeDetector()
    raw = Split.write(_watched(source(issues), detector, where))
    if len(raw) == 0 and not issues.problems:
        raise InputError(f"{where}: no sentence in it; expected at least one")
    split, report = _in_bio(where, raw, detector.scheme(), issues)
    if report.scheme != "BIO":
        notes.append(f"{where}: scheme {report.scheme}, converted to BIO")
    if report.repairs:
        notes.append(
            f"{where}: {count_of(report.repairs, 'repair')}: a tag continues an entity that is not open, or leaves "
            f"one open that its scheme closes; first in the sentence at line {report.first_repairs[0]}"
        )
    if report.dropped_spans:
        notes.append(
            f"{where}: {count_of(report.dropped_spans, 'span')} left out; the first: {report.first_dropped[0]}"
        )
    return split, report


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun, such as "1 span" or "2,000 spans"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _in_bio(where: str, sentences: Iterable[Sentence], scheme: str, issues: Issues) -> tuple[Split, SplitReport]:
    entities: Counter[str] = Counter()
    words = documents = repairs = 0
    repaired_at: list[int] = []

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
            if repaired and len(repaired_at) < _REPAIRS_NAMED:
                repaired_at.append(sentence.line)
            entities.update(kind for kind, _, _ in entity_spans(tags))
            yield replace(sentence, tags=tags)

    split = Split.write(converted())
    report = SplitReport(
        where,
        scheme,
        len(split),
        words,
        documents,
        repairs,
        dict(sorted(entities.items())),
        tuple(repaired_at),
        issues.dropped,
        tuple(issues.first_dropped),
    )
    return split, report


def _watched(sentences: Iterable[Sentence], detector: SchemeDetector, where: str) -> Iterator[Sentence]:
    for sentence in sentences:
        detector.add(sentence.tags or (), f"{where}:{sentence.line}")
        yield sentence


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
        for number, sentence in enumerate(sentences(issues)):
            if ((sentence.document if by_document else number) in held) == is_held:
                yield sentence

    # The scheme is the whole file's: a part may have too few entities to tell it.
    for name, is_held in (("valid", True), ("train", False)):
        issues = Issues()
        read[name], reports[name] = _in_bio(where, part(is_held), report.scheme, issues)
    unit = "documents" if by_document else "sentences"
    notes.append(f"no dev split: {len(held):,} of {units:,} {unit} of the train split are held out for it")
