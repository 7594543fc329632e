"""Comparison of two models on the same data: the difference in F1 with its interval, and their different answers."""

from collections import Counter
from dataclasses import asdict, astuple, dataclass
from typing import Any

from hybridner.config.choices import Misaligned
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.schemes import entity_spans
from hybridner.evaluation.analysis import CORRECT, Example, Mention, align, mention
from hybridner.evaluation.bootstrap import Difference, entity_counts, paired_difference
from hybridner.evaluation.evaluate import LabelledData, Setting, notes_on, predict, read_labelled, setting_of
from hybridner.evaluation.scoring import Scores, Tags, score
from hybridner.tagging.tagger import Tagger

EXAMPLES = 20
_RIGHT_BY = {(True, True): "both", (True, False): "only_a", (False, True): "only_b", (False, False): "neither"}


@dataclass(frozen=True, slots=True)
class RightBy:
    """Numbers of gold entities by the models that found them, with the right words and type."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer at a gold entity: one of ``analysis.KINDS``, and the predicted entity if there is one."""

    kind: str
    predicted: Mention | None

    def __str__(self) -> str:
        return "right" if self.kind == CORRECT else str(self.predicted or self.kind)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gold entity and both models' answers, the number of times they occur together, and the first occurrence."""

    gold: Mention
    a: Answer
    b: Answer
    count: int
    example: Example

    def __str__(self) -> str:
        return f"{self.count:,} × {self.gold}. A: {self.a}. B: {self.b}."


@dataclass(frozen=True, slots=True)
class Paired:
    """Both models' scores, of the tags that ``predict`` returns.

    Attributes:
        difference: difference in micro F1.
        right_by: for each type, the gold entities by the models that found them.
        words_tagged_differently: number of words to which A and B give different tags.
        verdicts: the ``EXAMPLES`` most frequent ones under each of "only_a", "only_b" and "neither".
    """

    a: Scores
    b: Scores
    difference: Difference
    right_by: dict[str, RightBy]
    words_tagged_differently: int
    verdicts: dict[str, list[Verdict]]

    @property
    def right_by_in_all(self) -> RightBy:
        """Sum ``right_by`` over all types."""
        return RightBy(*map(sum, zip(*map(astuple, self.right_by.values()), strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the verdicts."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            **asdict(self.difference),
            "right_by": {**asdict(self.right_by_in_all), "by_type": {k: asdict(v) for k, v in self.right_by.items()}},
            "words_tagged_differently": self.words_tagged_differently,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same labelled data."""

    data: LabelledData
    a: Setting
    b: Setting
    paired: Paired
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "a": asdict(self.a),
            "b": asdict(self.b),
            **self.data.to_dict(),
            "paired": self.paired.to_dict(),
            "examples": {who: [asdict(one) for one in found] for who, found in self.paired.verdicts.items()},
            "notes": self.notes,
        }


def compare(
    a: Tagger,
    b: Tagger,
    data: str,
    split: str | None = None,
    *,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> Comparison:
    """Score two models, or one in both backends, on the same labelled data; the arguments are those of ``evaluate``.

    The models' labels may differ: entities of a type that a model does not know count as missed.

    Raises:
        InputError: the data or the split is missing, or a model has no tokenizer.
    """
    labelled = read_labelled(data, split, seen=False, columns=columns, misaligned=misaligned)
    of_a, of_b = predict(a, labelled), predict(b, labelled)
    types_a, types_b = ({label[2:] for label in tagger.model.labels if label != "O"} for tagger in (a, b))
    notes = list(labelled.notes)
    for name, tagger, prediction, only in (("A", a, of_a, types_a - types_b), ("B", b, of_b, types_b - types_a)):
        if only:
            notes.append(f"types that only {name} knows: {', '.join(sorted(only))}")
        notes += [f"{name}: {note}" for note in notes_on(labelled, tagger, prediction)]
    return Comparison(labelled, setting_of(a), setting_of(b), _paired(labelled, of_a.tags, of_b.tags), notes)


def _paired(data: LabelledData, a: Tags, b: Tags) -> Paired:
    counts: Counter[tuple[Mention, Answer, Answer]] = Counter()
    examples: dict[tuple[Mention, Answer, Answer], Example] = {}
    for sentence, *both in zip(data.sentences, a, b, strict=True):
        words, gold = list(sentence.words), entity_spans(sentence.tags or ())
        of_a, of_b = (
            {p.gold: Answer(p.kind, p.predicted and mention(words, p.predicted)) for p in align(gold, found)}
            for found in map(entity_spans, both)
        )
        for span in gold:
            key = (mention(words, span), of_a[span], of_b[span])
            counts[key] += 1
            examples.setdefault(key, Example(words, span[1], span[2], sentence.line))
    right_by: dict[str, Counter[str]] = {kind: Counter() for kind in data.report.entities}
    verdicts: dict[str, list[Verdict]] = {"only_a": [], "only_b": [], "neither": []}
    for key, count in counts.most_common():
        who = _RIGHT_BY[key[1].kind == CORRECT, key[2].kind == CORRECT]
        right_by[key[0].type][who] += count
        if who != "both" and len(verdicts[who]) < EXAMPLES:
            verdicts[who].append(Verdict(*key, count, examples[key]))
    return Paired(
        score(data.gold, a),
        score(data.gold, b),
        paired_difference(entity_counts(data.gold, a, data.units), entity_counts(data.gold, b, data.units)),
        {kind: RightBy(**found) for kind, found in right_by.items()},
        sum(x != y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)),
        verdicts,
    )
