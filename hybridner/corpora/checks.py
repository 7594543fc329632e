"""Contents of a corpus, and problems in it that may spoil training or scores."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import islice
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
    "duplicate-within-split": "sentences that stand in their split before",
    "duplicate-across-splits": "sentences that stand in another split before: scores on them say little",
    "conflicting-labels": "sentences that stand elsewhere before with other tags",
    "type-unseen-in-train": "entities of a type that the train split does not have",
    "no-entities": "splits without any entity",
    "repaired-tags": "tags that made an invalid sequence",
    "misaligned-spans": "spans that do not fall on word boundaries and were left out",
    "long-sentence": f"sentences of more than {LONGEST_SENTENCE} words: is a blank line missing?",
    "long-word": f"words of more than {LONGEST_WORD} characters, which WordPiece takes for unknown",
    "odd-characters": "words that hold a control character, a byte order mark or U+FFFD, left by a wrong encoding",
}
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ufeff\ufffd]")
_EXAMPLES = 3
_SENTENCES_AT_ONCE = 4096


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
        entities_in_train: share of the entities that stand in the train split with the same words and type; None for
            train itself, without a train split and without an entity.
    """

    report: SplitReport
    words_per_sentence: Lengths
    pieces_per_sentence: Lengths | None
    entities_in_train: float | None


@dataclass(slots=True)
class Finding:
    """Something that a user should look at.

    Attributes:
        id: one of :data:`FINDINGS`, which says what it means.
        split: where it was found.
        count: how often.
        examples: the first few places.
    """

    id: str
    split: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CorpusCheck:
    """A corpus looked at.

    Attributes:
        splits: what is in each split that could be read.
        findings: in the order of the splits and of :data:`FINDINGS`.
        problems: lines that break their format; a split that has any is in none of the other fields.
        notes: sentences for the user: schemes, repairs, what was preferred.
    """

    data: str
    splits: dict[str, SplitFacts]
    findings: list[Finding]
    problems: list[str]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, each finding with its meaning."""
        return {
            "data": self.data,
            "splits": {name: asdict(facts) for name, facts in self.splits.items()},
            "findings": [{**asdict(finding), "meaning": FINDINGS[finding.id]} for finding in self.findings],
            "problems": self.problems,
            "notes": self.notes,
        }


def check_corpus(
    data: str,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
    tokenizer: WordTokenizer | None = None,
) -> CorpusCheck:
    """Look at every split of a corpus, or at one file.

    Problems are collected, at most :data:`PROBLEMS` a split, instead of raised.

    Args:
        data: a file, or what :func:`hybridner.corpora.read.read_corpus` takes.
        columns: where the word and its tag stand, in files of columns.
        misaligned: what becomes of spans that do not fall on word boundaries.
        tokenizer: to count pieces with.

    Raises:
        InputError: there is no such corpus.
    """
    notes: list[str] = []
    if Path(data).is_file():
        sources = {"file": file_source(Path(data), columns, misaligned)}
    else:
        sources = find_sources(data, notes, columns, misaligned)
    scan = _Scan(tokenizer)
    problems: list[str] = []
    for name in (name for name in ("file", *SPLITS) if name in sources):
        issues = Issues(limit=PROBLEMS)
        try:
            split, report = read_split(*sources[name], notes, issues)
        except InputError as error:
            issues.problems.append(str(error))
        if issues.problems:
            problems += issues.problems
        else:
            scan.add(name, split, report)
    return CorpusCheck(data, scan.splits, scan.findings(), problems, notes)


class _Scan:
    """Goes through the splits one after the other and remembers what it has to compare."""

    def __init__(self, tokenizer: WordTokenizer | None) -> None:
        self.splits: dict[str, SplitFacts] = {}
        self._tokenizer = tokenizer
        self._findings: dict[tuple[str, str], Finding] = {}
        # By the hash of a sentence's words: where it stood first in each split, and the hash of its tags.
        self._seen: dict[str, dict[bytes, tuple[int, bytes]]] = {}
        self._train_entities: set[bytes] = set()
        self._train_types: set[str] | None = None

    def findings(self) -> list[Finding]:
        """All findings, by split and kind."""
        order = list(FINDINGS)
        names = list(self.splits)
        return sorted(self._findings.values(), key=lambda one: (names.index(one.split), order.index(one.id)))

    def add(self, name: str, split: Split, report: SplitReport) -> None:
        """Look at a split."""
        if name == "train":
            self._train_types = set(report.entities)
        words, pieces = array("q"), array("q")
        entities = known = 0
        self._seen[name] = {}
        stream = iter(split)
        while chunk := list(islice(stream, _SENTENCES_AT_ONCE)):
            for sentence in chunk:
                where = f"{report.path}:{sentence.line}"
                words.append(len(sentence.words))
                self._compare(name, sentence, where)
                self._look_at_words(name, sentence, where)
                for in_train in self._entities(name, sentence, where):
                    entities += 1
                    known += in_train
            if self._tokenizer is not None:
                encoded = self._tokenizer.encode_sentences([sentence.words for sentence in chunk])
                pieces.extend(sum(map(len, sentence)) for sentence in encoded)
        if not entities:
            self._find("no-entities", name, report.path)
        if report.repairs:
            self._find("repaired-tags", name, *(f"{report.path}:{line}" for line in report.first_repairs))
            self._findings["repaired-tags", name].count = report.repairs
        if report.dropped_spans:
            self._find("misaligned-spans", name, *report.first_dropped)
            self._findings["misaligned-spans", name].count = report.dropped_spans
        compared = name != "train" and self._train_types is not None and entities > 0
        self.splits[name] = SplitFacts(
            report,
            _lengths(words),
            None if self._tokenizer is None else _lengths(pieces),
            known / entities if compared else None,
        )

    def _find(self, kind: str, split: str, *places: str) -> None:
        finding = self._findings.setdefault((kind, split), Finding(kind, split))
        finding.count += 1
        finding.examples += places[: max(0, _EXAMPLES - len(finding.examples))]

    def _compare(self, name: str, sentence: Sentence, where: str) -> None:
        """Look whether the sentence was there before."""
        words, tags = _hash(sentence.words), _hash(sentence.tags or ())
        start = " ".join(sentence.words)[:60]
        before = {other: seen[words] for other, seen in self._seen.items() if words in seen}
        places = {other: f"{where} and in {other} at line {line}: {start!r}" for other, (line, _) in before.items()}
        if name in before:
            self._find("duplicate-within-split", name, places[name])
        elsewhere = next((other for other in before if other != name), None)
        if elsewhere is not None:
            self._find("duplicate-across-splits", name, places[elsewhere])
        conflict = next((other for other, (_, other_tags) in before.items() if other_tags != tags), None)
        if conflict is not None:
            self._find("conflicting-labels", name, places[conflict])
        self._seen[name].setdefault(words, (sentence.line, tags))

    def _look_at_words(self, name: str, sentence: Sentence, where: str) -> None:
        if len(sentence.words) > LONGEST_SENTENCE:
            self._find("long-sentence", name, f"{where}: {len(sentence.words):,} words")
        for word in sentence.words:
            if len(word) > LONGEST_WORD:
                self._find("long-word", name, f"{where}: {len(word):,} characters, {word[:30]!r}…")
            if _ODD.search(word):
                self._find("odd-characters", name, f"{where}: {word!a:.60}")

    def _entities(self, name: str, sentence: Sentence, where: str) -> Iterator[bool]:
        """For each entity whether train has it."""
        for kind, start, stop in entity_spans(sentence.tags or ()):
            entity = _hash((kind, *sentence.words[start:stop]))
            if name == "train":
                self._train_entities.add(entity)
            elif self._train_types is not None and kind not in self._train_types:
                self._find("type-unseen-in-train", name, f"{where}: {' '.join(sentence.words[start:stop])!r} ({kind})")
            yield entity in self._train_entities


def _hash(strings: tuple[str, ...]) -> bytes:
    return blake2b("\0".join(strings).encode(), digest_size=16).digest()


def _lengths(values: "array[int]") -> Lengths:
    median, p90, p99, longest = np.quantile(np.array(values), [0.5, 0.9, 0.99, 1.0]).tolist()
    return Lengths(median, p90, p99, int(longest))


def by_type(splits: dict[str, SplitFacts]) -> dict[str, dict[str, int]]:
    """Entities of each type in each split, the types of all splits sorted."""
    counts = {name: Counter(facts.report.entities) for name, facts in splits.items()}
    types = sorted(set().union(*counts.values())) if counts else []
    return {kind: {name: count[kind] for name, count in counts.items()} for kind in types}
