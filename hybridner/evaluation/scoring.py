"""Scores of predicted tags: precision, recall and F1 of entities, strict F1 and token accuracy."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybridner.corpora.schemes import entity_spans, invalid_transitions
from hybridner.display.tables import Table

SCORER = "micro average as conlleval counts (seqeval, default mode)"
STRICT_SCORER = "micro average of valid BIO entities only (seqeval, strict mode, IOB2)"


@dataclass(frozen=True, slots=True)
class TypeScores:
    """Precision, recall and F1 of one entity type, and the counts behind them."""

    precision: float
    recall: float
    f1: float
    correct: int
    predicted: int
    gold: int


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a split.

    Attributes:
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
        return {"scorer": SCORER, "strict_scorer": STRICT_SCORER, **asdict(self)}

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

    Counts are conlleval's (Tjong Kim Sang and De Meulder 2003), precision, recall and F1 seqeval's.

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
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
    from seqeval.scheme import IOB2

    gold_spans = {(i, *span) for i, tags in enumerate(gold) for span in entity_spans(tags)}
    predicted_spans = {(i, *span) for i, tags in enumerate(predicted) for span in entity_spans(tags)}
    correct_spans = gold_spans & predicted_spans
    types = sorted({span[1] for span in gold_spans | predicted_spans})
    gold_lists, predicted_lists = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision = recall = f1 = strict_f1 = 0.0
    by_type: dict[str, TypeScores] = {}
    if types:
        precision, recall, f1, _ = map(
            _plain, precision_recall_fscore_support(gold_lists, predicted_lists, average="micro", zero_division=0)
        )
        strict_f1 = _plain(strict_scores(gold_lists, predicted_lists, average="micro", scheme=IOB2, zero_division=0)[2])
        columns = precision_recall_fscore_support(gold_lists, predicted_lists, average=None, zero_division=0)
        for i, name in enumerate(types):
            correct, predicted_count, gold_count = (
                sum(span[1] == name for span in spans) for spans in (correct_spans, predicted_spans, gold_spans)
            )
            by_type[name] = TypeScores(
                float(columns[0][i]), float(columns[1][i]), float(columns[2][i]), correct, predicted_count, gold_count
            )
    words = sum(map(len, gold))
    right = sum(a == b for one, other in zip(gold, predicted, strict=True) for a, b in zip(one, other, strict=True))
    return Scores(
        precision=precision,
        recall=recall,
        f1=f1,
        correct=len(correct_spans),
        predicted=len(predicted_spans),
        gold=len(gold_spans),
        strict_f1=strict_f1,
        token_accuracy=right / words if words else 0.0,
        invalid_transitions=sum(map(invalid_transitions, predicted)),
        sentences=len(gold),
        words=words,
        by_type=by_type,
    )


def _plain(value: Any) -> float:
    return 0.0 if value is None else float(value)
