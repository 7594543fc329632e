"""Where predictions go wrong: which kind of mistake, between which types, at which entities.

Each gold entity and each predicted one belongs to exactly one of these kinds:

| kind | gold | predicted |
|---|---|---|
| correct | the same words, the same type | |
| type | the same words, another type | |
| boundary | other words that overlap, the same type | |
| boundary and type | other words that overlap, another type | |
| missed | no entity is paired with it | |
| spurious | | no entity is paired with it |

The first four pair one gold entity with one predicted entity. Pairs are made kind by kind in this order, within a kind
by the number of shared words, largest first, then from left to right. An entity that overlaps only with ones that
others are paired with is missed or spurious. So gold entities are correct + type + boundary + boundary and type +
missed, predicted ones the same with spurious in the place of missed. Counting correct, partial, incorrect, missing and
spurious answers goes back to MUC-5 (Chinchor and Sundheim 1993); here "partial" and "incorrect" are told apart by what
is wrong.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.schemes import Span, entity_spans

CORRECT, TYPE, BOUNDARY, BOTH, MISSED, SPURIOUS = (
    "correct",
    "type",
    "boundary",
    "boundary and type",
    "missed",
    "spurious",
)
KINDS = (CORRECT, TYPE, BOUNDARY, BOTH, MISSED, SPURIOUS)
MISTAKES = 20
Tags = Sequence[Sequence[str]]


class Mention(NamedTuple):
    """An entity as its text and type: its words as they stand, case kept, joined by single spaces."""

    text: str
    label: str

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return {"text": self.text, "type": self.label}


@dataclass(frozen=True, slots=True)
class Pair:
    """A gold entity and the predicted one that belongs to it, if there are both; spans of words of one sentence."""

    kind: str
    gold: Span | None
    predicted: Span | None


@dataclass(frozen=True, slots=True)
class Example:
    """A place in the data.

    Attributes:
        words: of the whole sentence.
        start: first word of the entity meant.
        stop: the word after its last.
        line: where the sentence starts in its file.
    """

    words: tuple[str, ...]
    start: int
    stop: int
    line: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"words": list(self.words), "start": self.start, "stop": self.stop, "line": self.line}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake that was made ``count`` times, with the first place where.

    Attributes:
        kind: one of ``KINDS``, not "correct".
        gold: what stands there; None if spurious.
        predicted: what was found; None if missed.
        count: how often.
        example: the gold entity, or the spurious one, in its sentence.
    """

    kind: str
    gold: Mention | None
    predicted: Mention | None
    count: int
    example: Example

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind,
            "gold": self.gold and self.gold.to_dict(),
            "predicted": self.predicted and self.predicted.to_dict(),
            "count": self.count,
            "example": self.example.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Confusion:
    """Types of entities on exactly the same words.

    Attributes:
        types: of gold and predicted entities, sorted.
        same_words: ``same_words[i][j]`` gold entities of type i were predicted with type j.
        missed: gold entities of each type on whose words, exactly, none is predicted. Unlike the kind of mistake, this
            holds the ones whose boundaries are wrong.
        spurious: predicted entities of each type on whose words, exactly, none is gold.
    """

    types: list[str]
    same_words: list[list[int]]
    missed: list[int]
    spurious: list[int]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some entities are correct."""

    correct: int
    total: int

    @property
    def value(self) -> float | None:
        """``correct / total``; None of nothing."""
        return self.correct / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Seen:
    """Scores on entities that stand in the train data, the same mention (text and type), and on the others.

    Attributes:
        gold_seen: recall on gold entities that train has.
        gold_unseen: recall on those it has not.
        predicted_seen: precision of predicted entities that train has.
        predicted_unseen: precision of those it has not.
    """

    gold_seen: Share
    gold_unseen: Share
    predicted_seen: Share
    predicted_unseen: Share

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what "seen" means is said."""
        shares = {name: getattr(self, name) for name in ("gold_seen", "gold_unseen")}
        found = {name: getattr(self, name) for name in ("predicted_seen", "predicted_unseen")}
        return {
            "definition": "train has an entity of the same words, case kept, and the same type",
            **{k: {"correct": s.correct, "gold": s.total, "recall": s.value} for k, s in shares.items()},
            **{k: {"correct": s.correct, "predicted": s.total, "precision": s.value} for k, s in found.items()},
        }


@dataclass(frozen=True, slots=True)
class Analysis:
    """What went wrong on a split.

    Attributes:
        kinds: number of pairs, or of single entities, of each of ``KINDS``.
        confusion: between types.
        mistakes: the ``MISTAKES`` most frequent ones; of equally frequent ones those that come first.
        num_different: different mistakes in all.
        seen: None without train data.
    """

    kinds: dict[str, int]
    confusion: Confusion
    mistakes: list[Mistake]
    num_different: int
    seen: Seen | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "errors": self.kinds,
            "confusion": asdict(self.confusion),
            "mistakes": [mistake.to_dict() for mistake in self.mistakes],
            "different_mistakes": self.num_different,
            "seen": None if self.seen is None else self.seen.to_dict(),
        }


def mention(words: Sequence[str], span: Span) -> Mention:
    """The entity at ``span`` of a sentence."""
    return Mention(" ".join(words[span[1] : span[2]]), span[0])


def mentions(sentences: Iterable[Sentence]) -> frozenset[Mention]:
    """All different entities of labelled sentences."""
    return frozenset(mention(s.words, span) for s in sentences for span in entity_spans(s.tags or ()))


def align(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Pair]:
    """Each gold and each predicted entity of a sentence in exactly one pair, in the order of the sentence.

    Args:
        gold: entities of which no two share a word.
        predicted: the same.
    """
    pairs: list[Pair] = []
    by_words = {span[1:]: span for span in predicted}
    for span in gold:
        if (other := by_words.get(span[1:])) is not None:
            pairs.append(Pair(CORRECT if span == other else TYPE, span, other))
    paired = {span for pair in pairs for span in (("gold", pair.gold), ("predicted", pair.predicted))}
    overlaps = [
        (a[0] != b[0], max(a[1], b[1]) - min(a[2], b[2]), a[1], b[1], a, b)
        for a in gold
        if ("gold", a) not in paired
        for b in predicted
        if ("predicted", b) not in paired and max(a[1], b[1]) < min(a[2], b[2])
    ]
    for other_type, *_, a, b in sorted(overlaps):
        if ("gold", a) not in paired and ("predicted", b) not in paired:
            paired |= {("gold", a), ("predicted", b)}
            pairs.append(Pair(BOTH if other_type else BOUNDARY, a, b))
    pairs += [Pair(MISSED, span, None) for span in gold if ("gold", span) not in paired]
    pairs += [Pair(SPURIOUS, None, span) for span in predicted if ("predicted", span) not in paired]
    return sorted(pairs, key=lambda pair: (pair.gold or pair.predicted or ("", 0, 0))[1])


def analyse(sentences: Iterable[Sentence], predicted: Tags, train: AbstractSet[Mention] | None = None) -> Analysis:
    """Sort out the entities of predicted BIO tags against those of the data.

    Args:
        sentences: with gold BIO tags.
        predicted: a list of tags a sentence.
        train: what counts as seen, such as :func:`mentions` gives.

    Raises:
        ValueError: different numbers of sentences.
    """
    kinds = dict.fromkeys(KINDS, 0)
    counts: dict[tuple[str, Mention | None, Mention | None], int] = {}
    examples: dict[tuple[str, Mention | None, Mention | None], Example] = {}
    confusion: dict[tuple[str | None, str | None], int] = {}
    seen = {(side, is_seen): [0, 0] for side in ("gold", "predicted") for is_seen in (True, False)}
    for sentence, pair in _pairs(sentences, predicted):
        kinds[pair.kind] += 1
        gold, found = (span and mention(sentence.words, span) for span in (pair.gold, pair.predicted))
        same_words = pair.kind in (CORRECT, TYPE)
        for cell in [(gold, found)] if same_words else [(gold, None), (None, found)]:
            if cell != (None, None):
                key = (cell[0] and cell[0].label, cell[1] and cell[1].label)
                confusion[key] = confusion.get(key, 0) + 1
        for side, one in (("gold", gold), ("predicted", found)):
            if one is not None and train is not None:
                share = seen[side, one in train]
                share[0] += pair.kind == CORRECT
                share[1] += 1
        if pair.kind != CORRECT:
            mistake = (pair.kind, gold, found)
            counts[mistake] = counts.get(mistake, 0) + 1
            _, start, stop = pair.gold or pair.predicted or ("", 0, 0)
            examples.setdefault(mistake, Example(sentence.words, start, stop, sentence.line))
    frequent = sorted(counts, key=lambda key: -counts[key])[:MISTAKES]
    return Analysis(
        kinds,
        _confusion(confusion),
        [Mistake(*key, counts[key], examples[key]) for key in frequent],
        len(counts),
        None if train is None else Seen(*(Share(*share) for share in seen.values())),
    )


def _pairs(sentences: Iterable[Sentence], predicted: Tags) -> Iterator[tuple[Sentence, Pair]]:
    for sentence, tags in zip(sentences, predicted, strict=True):
        for pair in align(entity_spans(sentence.tags or ()), entity_spans(tags)):
            yield sentence, pair


def _confusion(counts: dict[tuple[str | None, str | None], int]) -> Confusion:
    types = sorted({kind for cell in counts for kind in cell if kind is not None})
    return Confusion(
        types,
        [[counts.get((a, b), 0) for b in types] for a in types],
        [counts.get((a, None), 0) for a in types],
        [counts.get((None, b), 0) for b in types],
    )
