"""Analysis of mistakes: their kinds, the types confused, the most frequent ones, and entities seen in train.

Each gold entity and each predicted one gets exactly one of ``KINDS``. "correct", "type" (the same words, another type),
"boundary" (other words that overlap, the same type) and "boundary and type" pair one gold entity with one predicted
entity. We make pairs kind by kind in this order, within a kind by the number of shared words, largest first, then from
left to right. A gold entity without a pair is missed, a predicted one without a pair spurious. MUC-5 (Chinchor and
Sundheim 1993) introduced counting correct, partial, incorrect, missing and spurious answers; we split "partial" and
"incorrect" by the mistake.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.schemes import Span, entity_spans
from hybridner.evaluation.scoring import Tags

KINDS = ("correct", "type", "boundary", "boundary and type", "missed", "spurious")
CORRECT, TYPE, BOUNDARY, BOTH, MISSED, SPURIOUS = KINDS
MISTAKES = 20
SEEN = ("gold_seen", "gold_unseen", "predicted_seen", "predicted_unseen")


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity's text, its words joined by single spaces and with their case kept, and its type."""

    text: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A gold entity and the predicted one paired with it in a sentence; None for the side that has none."""

    kind: str
    gold: Span | None
    predicted: Span | None


@dataclass(frozen=True, slots=True)
class Example:
    """An entity, ``words[start:stop]``, in its sentence, which starts at ``line`` of its file."""

    words: list[str]
    start: int
    stop: int
    line: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake and the number of its occurrences.

    Attributes:
        kind: one of ``KINDS``, not "correct".
        gold: the gold entity; None if spurious.
        predicted: the predicted entity; None if missed.
        example: the gold entity, or the spurious one, where the mistake first occurs.
    """

    kind: str
    gold: Mention | None
    predicted: Mention | None
    count: int
    example: Example

    def __str__(self) -> str:
        if self.gold and self.predicted and self.gold.text == self.predicted.text:
            change = f"{self.gold.text}: {self.gold.type} → {self.predicted.type}"
        else:
            change = f"{self.gold or 'nothing'} → {self.predicted or 'nothing'}"
        return f"{self.count:,} × {change} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Types of entities on exactly the same words.

    Attributes:
        types: types of gold and predicted entities, sorted.
        same_words: ``same_words[i][j]`` gold entities of type i were predicted with type j.
        missed: gold entities of each type with no predicted entity on exactly their words. Unlike the kind of mistake,
            this includes entities predicted with wrong boundaries.
        spurious: predicted entities of each type with no gold entity on exactly their words.
    """

    types: list[str]
    same_words: list[list[int]]
    missed: list[int]
    spurious: list[int]


@dataclass(frozen=True, slots=True)
class Share:
    """Number of correct entities among ``total``."""

    correct: int
    total: int

    @property
    def value(self) -> float | None:
        """``correct / total``; None if ``total`` is 0."""
        return self.correct / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Mistakes on a split.

    Attributes:
        kinds: number of pairs, or of single entities, of each of ``KINDS``.
        confusion: confusion between types.
        mistakes: the ``MISTAKES`` most frequent ones; of equally frequent ones those that occur first.
        num_different: number of different mistakes.
        seen: for each of ``SEEN`` the correct ones among these entities, which is recall for gold and precision for
            predicted ones; None without train data. An entity is seen if train has one of the same text and type.
    """

    kinds: dict[str, int]
    confusion: Confusion
    mistakes: list[Mistake]
    num_different: int
    seen: dict[str, Share] | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the definition of "seen"."""
        seen: dict[str, Any] = {"definition": "train has an entity of the same words, case kept, and the same type"}
        for name, share in (self.seen or {}).items():
            side, measure = ("gold", "recall") if name.startswith("gold") else ("predicted", "precision")
            seen[name] = {"correct": share.correct, side: share.total, measure: share.value}
        return {
            "errors": self.kinds,
            "confusion": asdict(self.confusion),
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
            "different_mistakes": self.num_different,
            "seen": None if self.seen is None else seen,
        }


def mention(words: Sequence[str], span: Span) -> Mention:
    """Make the mention at ``span`` of a sentence."""
    return Mention(" ".join(words[span[1] : span[2]]), span[0])


def mentions(sentences: Iterable[Sentence]) -> frozenset[Mention]:
    """Collect the different entities of labelled sentences."""
    return frozenset(mention(s.words, span) for s in sentences for span in entity_spans(s.tags or ()))


def align(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Pair]:
    """Pair the gold and predicted entities of a sentence, each in exactly one pair, in the order of the sentence.

    No two gold entities may share a word, and no two predicted ones.
    """
    overlaps = sorted(
        (2 * (a[1:] != b[1:]) + (a[0] != b[0]), max(a[1], b[1]) - min(a[2], b[2]), a[1], b[1], a, b)
        for a in gold
        for b in predicted
        if max(a[1], b[1]) < min(a[2], b[2])
    )
    pairs: list[Pair] = []
    unpaired_gold, unpaired_predicted = dict.fromkeys(gold), dict.fromkeys(predicted)
    for kind, *_, a, b in overlaps:
        if a in unpaired_gold and b in unpaired_predicted:
            del unpaired_gold[a], unpaired_predicted[b]
            pairs.append(Pair(KINDS[kind], a, b))
    pairs += [Pair(MISSED, span, None) for span in unpaired_gold]
    pairs += [Pair(SPURIOUS, None, span) for span in unpaired_predicted]
    return sorted(pairs, key=lambda pair: (pair.gold or pair.predicted or ("", 0, 0))[1])


def analyse(sentences: Iterable[Sentence], predicted: Tags, train: AbstractSet[Mention] | None = None) -> Analysis:
    """Sort the entities of predicted BIO tags by kind of mistake.

    Args:
        sentences: sentences with gold BIO tags.
        predicted: one list of tags per sentence.
        train: the entities that count as seen, from :func:`mentions`.

    Raises:
        ValueError: the numbers of sentences differ.
    """
    kinds = dict.fromkeys(KINDS, 0)
    counts: Counter[tuple[str, Mention | None, Mention | None]] = Counter()
    examples: dict[tuple[str, Mention | None, Mention | None], Example] = {}
    confusion: Counter[tuple[str | None, str | None]] = Counter()
    correct: dict[str, list[bool]] = {name: [] for name in SEEN}
    for sentence, tags in zip(sentences, predicted, strict=True):
        for pair in align(entity_spans(sentence.tags or ()), entity_spans(tags)):
            kinds[pair.kind] += 1
            gold, found = (span and mention(sentence.words, span) for span in (pair.gold, pair.predicted))
            a, b = (one.type if one else None for one in (gold, found))
            confusion.update([(a, b)] if pair.kind in (CORRECT, TYPE) else [(a, None), (None, b)])
            for side, one in (("gold", gold), ("predicted", found)):
                if one and train is not None:
                    correct[f"{side}_{'seen' if one in train else 'unseen'}"].append(pair.kind == CORRECT)
            if pair.kind != CORRECT:
                mistake = (pair.kind, gold, found)
                counts[mistake] += 1
                _, start, stop = pair.gold or pair.predicted or ("", 0, 0)
                examples.setdefault(mistake, Example(list(sentence.words), start, stop, sentence.line))
    types = sorted({kind for cell in confusion for kind in cell if kind is not None})
    return Analysis(
        kinds,
        Confusion(
            types,
            [[confusion[a, b] for b in types] for a in types],
            [confusion[a, None] for a in types],
            [confusion[None, b] for b in types],
        ),
        [Mistake(*key, count, examples[key]) for key, count in counts.most_common(MISTAKES)],
        len(counts),
        None if train is None else {name: Share(sum(one), len(one)) for name, one in correct.items()},
    )
