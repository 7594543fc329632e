"""Contents of a corpus, and problems in it that may spoil training or scores."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Sentence, Split, SplitReport
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.issues import Issues
from hybridner.corpora.read import read_split
from hybridner.corpora.schemes import entity_spans
from hybridner.corpora.sources import file_source, find_sources
from hybridner.corpora.splits import SPLITS
from hybridner.errors import InputError
from hybridner.text.tokenizer import LONGEST_WORD, WordTokenizer

LONGEST_SENTENCE = 200
PROBLEMS = 20
FINDINGS = {
    "duplicate-within-split": "sentence appears earlier in the same split",
    "duplicate-across-splits": "sentence appears earlier in another split, which inflates scores",
    "conflicting-labels": "sentence appears earlier with other tags",
    "type-unseen-in-train": "entity of a type that train does not have",
    "no-entities": "split without any entity",
    "repaired-tags": "tags that formed an invalid sequence",
    "misaligned-spans": "spans off word boundaries, dropped",
    "long-sentence": f"sentence of more than {LONGEST_SENTENCE} words; is a blank line missing?",
    "long-word": f"word of more than {LONGEST_WORD} characters, which WordPiece replaces by the unknown piece",
    "odd-characters": "word with a control character, a byte order mark or U+FFFD, often from a wrong encoding",
}
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffd]")
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Lengths:
    """Sentence lengths: median, 90th and 99th percentile, and the longest."""

    median: float
    p90: float
    p99: float
    longest: int


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Contents of a split.

    Attributes:
        words_per_sentence: lengths in words.
        pieces_per_sentence: lengths in word pieces, without the special ones; None without a tokenizer.
        entities_in_train: share of the entities that the train split has with the same words and type; None for train
            itself, without a train split and without an entity.
    """

    report: SplitReport
    words_per_sentence: Lengths
    pieces_per_sentence: Lengths | None
    entities_in_train: float | None


@dataclass(slots=True)
class Finding:
    """A problem of a split, one of :data:`FINDINGS`, with its count and the first few places."""

    id: str
    split: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CorpusCheck:
    """Result of checking a corpus.

    Attributes:
        splits: contents of each split that could be read.
        findings: in the order of the splits and of :data:`FINDINGS`.
        problems: lines that break their format; the other fields omit a split that has any.
        notes: sentences for the user: schemes, repairs, choices.
    """

    data: str
    splits: dict[str, SplitFacts]
    findings: list[Finding]
    problems: list[str]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, each finding with its meaning."""
        values = {name: getattr(self, name) for name in ("data", "problems", "notes")}
        values["splits"] = {name: asdict(facts) for name, facts in self.splits.items()}
        values["findings"] = [{**asdict(one), "meaning": FINDINGS[one.id]} for one in self.findings]
        return values


def check_corpus(
    data: str,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
    tokenizer: WordTokenizer | None = None,
) -> CorpusCheck:
    """Check every split of a corpus, or one file; collect at most :data:`PROBLEMS` problems per split.

    Args:
        data: a file, or a corpus for :func:`hybridner.corpora.read.read_corpus`.
        columns: positions of the word and its tag, in files of columns.
        misaligned: treatment of spans off word boundaries.
        tokenizer: also count the word pieces of this tokenizer.

    Raises:
        InputError: there is no such corpus.
    """
    notes: list[str] = []
    problems: list[str] = []
    if Path(data).is_file():
        sources = {"file": file_source(Path(data), columns, misaligned)}
    else:
        sources = find_sources(data, notes, columns, misaligned)
    scan = _Scan(tokenizer)
    for name in sorted(sources, key=("file", *SPLITS).index):
        issues = Issues(limit=PROBLEMS)
        try:
            split, report = read_split(*sources[name], notes, issues)
        except InputError as error:
            issues.problems.append(str(error))
        if not issues.problems:
            scan.add(name, split, report)
        problems += issues.problems
    return CorpusCheck(data, scan.splits, scan.findings(), problems, notes)


class _Scan:
    """Scan of the splits, train first, which remembers what later splits are compared with."""

    def __init__(self, tokenizer: WordTokenizer | None) -> None:
        self.splits: dict[str, SplitFacts] = {}
        self._tokenizer = tokenizer
        self._findings: dict[tuple[str, str], Finding] = {}
        # In each split, by the hash of a sentence's words: the first line with them, and the hash of its tags.
        self._seen: dict[str, dict[bytes, tuple[int, bytes]]] = {}
        self._train_entities: set[bytes] = set()
        self._train_types: set[str] | None = None

    def findings(self) -> list[Finding]:
        keys = ((kind, split) for split in self.splits for kind in FINDINGS)
        return [self._findings[key] for key in keys if key in self._findings]

    def add(self, name: str, split: Split, report: SplitReport) -> None:
        if name == "train":
            self._train_types = set(report.entities)
        words: list[int] = []
        pieces: list[int] = []
        known = 0
        self._seen[name] = {}
        for sentence in split:
            where = f"{report.path}:{sentence.line}"
            words.append(len(sentence.words))
            if self._tokenizer is not None:
                pieces.append(sum(map(len, self._tokenizer.encode_sentences([sentence.words])[0])))
            self._compare(name, sentence, where)
            self._check_words(name, sentence, where)
            known += self._check_entities(name, sentence, where)
        entities = sum(report.entities.values())
        if not entities:
            self._find("no-entities", name, report.path)
        if report.repairs:
            places = (f"{report.path}:{line}" for line in report.first_repairs)
            self._find("repaired-tags", name, *places, count=report.repairs)
        if report.dropped_spans:
            self._find("misaligned-spans", name, *report.first_dropped, count=report.dropped_spans)
        compared = name != "train" and self._train_types is not None and entities > 0
        self.splits[name] = SplitFacts(
            report, _lengths(words), _lengths(pieces) if pieces else None, known / entities if compared else None
        )

    def _find(self, kind: str, split: str, *places: str, count: int = 1) -> None:
        finding = self._findings.setdefault((kind, split), Finding(kind, split))
        finding.count += count
        finding.examples += places[: max(0, _EXAMPLES - len(finding.examples))]

    def _compare(self, name: str, sentence: Sentence, where: str) -> None:
        words, tags = _hash(sentence.words), _hash(sentence.tags or ())
        before = {other: seen[words] for other, seen in self._seen.items() if words in seen}
        for kind, others in (
            ("duplicate-within-split", [other for other in before if other == name]),
            ("duplicate-across-splits", [other for other in before if other != name]),
            ("conflicting-labels", [other for other, (_, other_tags) in before.items() if other_tags != tags]),
        ):
            for other in others[:1]:
                start = " ".join(sentence.words)[:60]
                self._find(kind, name, f"{where} and in {other} at line {before[other][0]}: {start!r}")
        self._seen[name].setdefault(words, (sentence.line, tags))

    def _check_words(self, name: str, sentence: Sentence, where: str) -> None:
        if len(sentence.words) > LONGEST_SENTENCE:
            self._find("long-sentence", name, f"{where}: {len(sentence.words):,} words")
        for word in sentence.words:
            if len(word) > LONGEST_WORD:
                self._find("long-word", name, f"{where}: {len(word):,} characters, {word[:30]!r}…")
            if _ODD.search(word):
                self._find("odd-characters", name, f"{where}: {word!a:.60}")

    def _check_entities(self, name: str, sentence: Sentence, where: str) -> int:
        """Count the entities that train has, and find types that it does not have."""
        known = 0
        for kind, start, stop in entity_spans(sentence.tags or ()):
            entity = _hash((kind, *sentence.words[start:stop]))
            if name == "train":
                self._train_entities.add(entity)
            elif self._train_types is not None and kind not in self._train_types:
                self._find("type-unseen-in-train", name, f"{where}: {' '.join(sentence.words[start:stop])!r} ({kind})")
            known += entity in self._train_entities
        return known


def _hash(strings: Sequence[str]) -> bytes:
    return blake2b("\0".join(strings).encode(), digest_size=16).digest()


def _lengths(values: list[int]) -> Lengths:
    median, p90, p99, longest = np.quantile(values, [0.5, 0.9, 0.99, 1.0]).tolist()
    return Lengths(median, p90, p99, int(longest))


def by_type(splits: dict[str, SplitFacts]) -> dict[str, dict[str, int]]:
    """Count the entities of each type, sorted, in each split."""
    types = sorted({kind for facts in splits.values() for kind in facts.report.entities})
    return {kind: {name: facts.report.entities.get(kind, 0) for name, facts in splits.items()} for kind in types}
