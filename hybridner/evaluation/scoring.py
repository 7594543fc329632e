"""Scores of predicted tags: precision, recall and F1 of entities, strict F1 and token accuracy."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from hybridner.corpora.schemes import entity_spans, invalid_transitions
from hybridner.display.tables import Table


@dataclass(frozen=True, slots=True)
class TypeScores:
    """Precision, recall and F1 of one entity type or of all, and the counts behind them."""

    precision: float
    recall: float
    f1: float
    correct: int
    predicted: int
    gold: int

    @classmethod
    def of(cls, gold: set[Any], predicted: set[Any]) -> "TypeScores":
        """Score sets of entities; a share of none is 0."""
        correct = len(gold & predicted)
        precision = correct / len(predicted) if predicted else 0.0
        recall = correct / len(gold) if gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
        return cls(precision, recall, f1, correct, len(predicted), len(gold))


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a split.

    Attributes:
        scorer: how precision, recall and F1 were computed, with seqeval named where it is installed.
        strict_scorer: how the strict F1 was computed.
        precision: correct / predicted entities, micro average as conlleval counts.
        recall: correct / gold entities.
        f1: their harmonic mean; the headline.
        correct: entities predicted with the right words and type.
        predicted: entities predicted.
        gold: entities in the data.
        strict_f1: F1 of valid BIO entities only.
        token_accuracy: share of words with the right tag, O included.
        invalid_transitions: predicted I- tags that continue no entity of their type.
        sentences: sentences scored.
        words: words scored.
        by_type: scores of each type.
    """

    scorer: str
    strict_scorer: str
    precision: float
    recall: float
    f1: float
    correct: int
    predicted: int
    gold: int
    strict_f1: float
    token_accuracy: float
    invalid_transitions: int
    sentences: int
    words: int
    by_type: dict[str, TypeScores]

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values, with the names of the scorers."""
        return asdict(self)

    def as_table(self) -> Table:
        """Make a table of the scores of each type and their micro average."""
        micro = TypeScores(self.precision, self.recall, self.f1, self.correct, self.predicted, self.gold)
        return Table(
            ("", "precision", "recall", "F1", "correct", "predicted", "gold"),
            [
                (
                    name,
                    *(f"{share:.4f}" for share in (s.precision, s.recall, s.f1)),
                    *(f"{count:,}" for count in (s.correct, s.predicted, s.gold)),
                )
                for name, s in [*self.by_type.items(), ("micro", micro)]
            ],
            widths=(10, 9, 7, 7, 8, 9, 7),
            optional=(4, 5),
        )

    def summary(self) -> str:
        """Write the scores that the table leaves out in one line."""
        return (
            f"strict F1 {self.strict_f1:.4f}, token accuracy {self.token_accuracy:.4f}, "
            f"{self.invalid_transitions:,} invalid transitions, {self.words:,} words in {self.sentences:,} sentences"
        )


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> Scores:
    """Score predicted BIO tags against gold ones.

    Entities are counted as conlleval counts them (Tjong Kim Sang and De Meulder 2003). Where seqeval is installed, it
    computes the micro averages and is named for it; its numbers are the same.

    Raises:
        ValueError: different numbers of sentences, or of tags in one of them, or a tag that is not BIO (seqeval
            would count it as an entity).
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences of gold tags and {len(predicted)} predicted")
    for number, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sentence {number}: {len(one)} gold tags and {len(other)} predicted")
    for tag in {tag for tags in (*gold, *predicted) for tag in tags}:
        if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:]):
            raise ValueError(f"tag {str(tag)!r}; expected O, B-TYPE or I-TYPE")
    gold_spans, predicted_spans = (
        {(i, *span) for i, tags in enumerate(side) for span in entity_spans(tags)} for side in (gold, predicted)
    )
    micro = TypeScores.of(gold_spans, predicted_spans)
    # An entity that starts with I- is not valid BIO.
    strict = TypeScores.of(
        {span for span in gold_spans if gold[span[0]][span[2]][0] == "B"},
        {span for span in predicted_spans if predicted[span[0]][span[2]][0] == "B"},
    )
    scorer, strict_scorer = "micro average as conlleval counts", "micro average of valid BIO entities only"
    precision, recall, f1, strict_f1 = micro.precision, micro.recall, micro.f1, strict.f1
    if find_spec("seqeval"):
        scorer, strict_scorer = f"{scorer} (seqeval, default mode)", f"{strict_scorer} (seqeval, strict mode, IOB2)"
        if gold_spans or predicted_spans:
            precision, recall, f1, strict_f1 = _by_seqeval(gold, predicted)
    types = sorted({span[1] for span in gold_spans | predicted_spans})
    words = sum(map(len, gold))
    right = sum(a == b for one, other in zip(gold, predicted, strict=True) for a, b in zip(one, other, strict=True))
    return Scores(
        scorer=scorer,
        strict_scorer=strict_scorer,
        precision=precision,
        recall=recall,
        f1=f1,
        correct=micro.correct,
        predicted=micro.predicted,
        gold=micro.gold,
        strict_f1=strict_f1,
        token_accuracy=right / words if words else 0.0,
        invalid_transitions=sum(map(invalid_transitions, predicted)),
        sentences=len(gold),
        words=words,
        by_type={
            name: TypeScores.of(
                *({span for span in spans if span[1] == name} for spans in (gold_spans, predicted_spans))
            )
            for name in types
        },
    )


def _by_seqeval(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Compute precision, recall, F1 and strict F1 with seqeval, which refuses tags without any entity."""
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as scores
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
    from seqeval.scheme import IOB2

    lists = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision, recall, f1, _ = scores(*lists, average="micro", zero_division=0)
    strict_f1 = strict_scores(*lists, average="micro", scheme=IOB2, zero_division=0)[2]
    return tuple(float(share or 0.0) for share in (precision, recall, f1, strict_f1))
