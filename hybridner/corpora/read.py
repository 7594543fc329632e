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
from hybridner.corpora.splits import SPLITS, Source, shown_split, split_name
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
    """Read a corpus, check it and convert its tags to BIO.

    Args:
        data: "sample", a folder with train, valid and test files, a folder saved by datasets, "conll2003", or a
            Hub id. A local folder wins.
        require_train: whether to train on the corpus: it must have a train split, and without a dev split a tenth of
            the train split is held out.
        splits: which to read.
        columns: columns of the word and its tag, in files of columns.
        misaligned: treatment of spans that cross word boundaries, in files of texts: "error", or "drop" to leave them
            out and report their number.

    Raises:
        InputError: there is no such corpus, or it breaks its format.
    """
    notes: list[str] = []
    sources = find_sources(data, notes, columns, misaligned)
    if require_train and "train" not in sources:
        raise InputError(
            f"{data}: no train split; expected a file such as train.txt, found {', '.join(sources) or 'none'}"
        )
    if not require_train and not set(splits) & set(sources):
        raise InputError(f"{data}: no {' or '.join(splits)} split; there are {', '.join(sources)}")
    names = [name for name in SPLITS if name in sources and name in splits]
    read: dict[str, tuple[Split, SplitReport]] = {name: read_split(*sources[name], notes) for name in names}
    if require_train and "valid" not in read and "valid" in splits:
        _hold_out(sources["train"], read, notes)
    labels = labels_of(read["train"][1].entities) if "train" in read else ("O",)
    found = {name: split for name, (split, _) in read.items()}
    reports = {name: report for name, (_, report) in read.items()}
    return Corpus(Path(data).name or Path(data).resolve().name, found, reports, labels, notes)


def check_types(corpus: Corpus) -> None:
    """Check that the train split contains every entity type of the other splits.

    Raises:
        InputError: it lacks one; the message names the split and the first sentence with that type.
    """
    known = set(corpus.labels)
    for name, split in corpus.splits.items():
        report = corpus.reports[name]
        if known.issuperset(f"B-{kind}" for kind in report.entities):
            continue
        line, kind = next((s.line, tag[2:]) for s in split for tag in s.tags or () if tag not in known)
        raise InputError(
            f"{report.path}:{line}: type {kind!r} in the {shown_split(name)} split does not appear in the train split, "
            f"which has {', '.join(corpus.reports['train'].entities) or 'none'}"
        )


def read_file(path: Path, columns: ColumnFormat = PLAIN, misaligned: Misaligned = "error") -> tuple[Split, SplitReport]:
    """Read one labelled file in any of the formats.

    Raises:
        InputError: the file cannot be read, or breaks its format.
    """
    return read_split(*file_source(path, columns, misaligned), [])


def read_split(where: str, source: Source, notes: list[str], issues: Issues | None = None) -> tuple[Split, SplitReport]:
    """Read a split from ``source`` once to detect its scheme, then convert it to BIO.

    ``where`` is its path; ``notes`` receives its scheme, repairs and dropped spans; ``issues`` collects its problems,
    the first of which is raised by default.

    Raises:
        InputError: it breaks its format, mixes schemes, or contains no sentence.
    """
    issues = issues or Issues()
    detector = SchemeDetector()

    def watched() -> Iterator[Sentence]:
        for sentence in source(issues):
            detector.add(sentence.tags or (), f"{where}:{sentence.line}")
            yield sentence

    raw = Split(watched())
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
    counts: Counter[str] = Counter()
    entities: Counter[str] = Counter()
    repaired_at: list[int] = []

    def converted() -> Iterator[Sentence]:
        last_document = -1
        for sentence in sentences:
            counts["words"] += len(sentence.words)
            counts["documents"] += sentence.document != last_document
            last_document = sentence.document
            tags, repairs = to_bio(sentence.tags or (), scheme)
            counts["repairs"] += repairs
            if repairs:
                repaired_at.append(sentence.line)
                del repaired_at[_REPAIRS_NAMED:]
            entities.update(kind for kind, _, _ in entity_spans(tags))
            yield replace(sentence, tags=tags)

    split = Split(converted())
    return split, SplitReport(
        where,
        scheme,
        len(split),
        **{name: counts[name] for name in ("words", "documents", "repairs")},
        entities=dict(sorted(entities.items())),
        first_repairs=tuple(repaired_at),
        dropped_spans=issues.dropped,
        first_dropped=tuple(issues.first_dropped),
    )


def _hold_out(source: tuple[str, Source], read: dict[str, tuple[Split, SplitReport]], notes: list[str]) -> None:
    """Hold out a tenth of the train split's documents, or of its sentences if it has too few documents."""
    where, sentences = source
    report = read["train"][1]
    by_document = report.documents >= _FEWEST_DOCUMENTS
    units = report.documents if by_document else report.sentences
    if units < 2:
        raise InputError(f"{where}: {units} sentence; too few to hold out a dev split, give a valid file")
    rng = np.random.Generator(np.random.Philox(_HELD_OUT_SEED))
    held = set(rng.permutation(units)[: max(1, units // 10)].tolist())

    def part(is_held: bool, issues: Issues) -> Iterator[Sentence]:
        for number, sentence in enumerate(sentences(issues)):
            if ((sentence.document if by_document else number) in held) == is_held:
                yield sentence

    # Use the scheme of the whole file: a part may have too few entities to show it.
    for name, is_held in (("valid", True), ("train", False)):
        issues = Issues()
        read[name] = _in_bio(where, part(is_held, issues), report.scheme, issues)
    unit = "documents" if by_document else "sentences"
    notes.append(f"no dev split: {len(held):,} of {units:,} {unit} of the train split are held out for it")
