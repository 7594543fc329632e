"""Scores of predicted tags: precision, recall and F1 of entities, strict F1 and token accuracy."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from importlib.util import find_spec
from typing import Any

from hybridner.corpora.schemes import entity_spans, invalid_transitions
from hybridner.display.tables import Table

Tags = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class TypeScores:
    """Precision, recall and F1 of entities, and the numbers of correct, predicted and gold entities behind them."""

    precision: float
    recall: float
    f1: float
    correct: int
    predicted: int
    gold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores(TypeScores):
    """Scores of a split: micro averages over all types, of which F1 is the headline, and more.

    Attributes:
        scorer: name of the method behind precision, recall and F1; it names seqeval if that is installed.
        strict_scorer: name of the method behind the strict F1.
        strict_f1: F1 of valid BIO entities only.
        token_accuracy: share of words with the right tag, O included.
        invalid_transitions: number of predicted I- tags that continue no entity of their type.
    """

    scorer: str
    strict_scorer: str
    strict_f1: float
    token_accuracy: float
    invalid_transitions: int
    sentences: int
    words: int
    by_type: dict[str, TypeScores]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def as_table(self) -> Table:
        """Make a table of the scores of each type and their micro average."""
        rows = []
        for name, s in [*self.by_type.items(), ("micro", self)]:
            shares = (f"{share:.4f}" for share in (s.precision, s.recall, s.f1))
            rows.append((name, *shares, f"{s.correct:,}", f"{s.predicted:,}", f"{s.gold:,}"))
        header = ("", "precision", "recall", "F1", "correct", "predicted", "gold")
        return Table(header, rows, widths=(10, 9, 7, 7, 8, 9, 7), optional=(4, 5))

    def summary(self) -> str:
        """Write one line with the scores that the table omits."""
        return f"token accuracy {self.token_accuracy:.4f}, {self.words:,} words in {self.sentences:,} sentences"


def score(gold: Tags, predicted: Tags) -> Scores:
    """Score predicted BIO tags against gold ones.

    We count entities as conlleval does (Tjong Kim Sang and De Meulder 2003). If seqeval is installed, it computes the
    micro averages, with the same numbers, and the scores name it.

    Raises:
        ValueError: the numbers of sentences, or of tags in a sentence, differ, or a tag is not BIO (seqeval would
            count it as an entity).
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} sentences of gold tags and {len(predicted)} predicted")
    for number, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"sentence {number}: {len(one)} gold tags and {len(other)} predicted")
    for tag in {tag for tags in (*gold, *predicted) for tag in tags}:
        if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:]):
            raise ValueError(f"tag {str(tag)!r}; expected O, B-TYPE or I-TYPE")
    spans = [{(i, *span) for i, tags in enumerate(side) for span in entity_spans(tags)} for side in (gold, predicted)]
    # An entity that starts with I- is not valid BIO.
    valid = (
        {span for span in found if side[span[0]][span[2]][0] == "B"}
        for found, side in zip(spans, (gold, predicted), strict=True)
    )
    micro, strict_f1 = _score_spans(*spans), _score_spans(*valid).f1
    scorer, strict_scorer = "micro average as conlleval counts", "micro average of valid BIO entities only"
    if find_spec("seqeval"):
        scorer, strict_scorer = f"{scorer} (seqeval, default mode)", f"{strict_scorer} (seqeval, strict mode, IOB2)"
        if any(spans):
            precision, recall, f1, strict_f1 = _by_seqeval(gold, predicted)
            micro = replace(micro, precision=precision, recall=recall, f1=f1)
    right = [a == b for one, other in zip(gold, predicted, strict=True) for a, b in zip(one, other, strict=True)]
    return Scores(
        *astuple(micro),
        scorer=scorer,
        strict_scorer=strict_scorer,
        strict_f1=strict_f1,
        token_accuracy=sum(right) / len(right) if right else 0.0,
        invalid_transitions=sum(map(invalid_transitions, predicted)),
        sentences=len(gold),
        words=len(right),
        by_type={
            name: _score_spans(*({span for span in found if span[1] == name} for found in spans))
            for name in sorted({span[1] for found in spans for span in found})
        },
    )


def _score_spans(gold: set[Any], predicted: set[Any]) -> TypeScores:
    """Score sets of entities; a share of none is 0."""
    correct = len(gold & predicted)
    precision, recall = (correct / len(spans) if spans else 0.0 for spans in (predicted, gold))
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return TypeScores(precision, recall, f1, correct, len(predicted), len(gold))


def _by_seqeval(gold: Tags, predicted: Tags) -> list[float]:
    """Compute precision, recall, F1 and strict F1 with seqeval, which refuses tags without any entity."""
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as scores
    from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
    from seqeval.scheme import IOB2

    lists = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    micro = scores(*lists, average="micro", zero_division=0)
    strict = strict_scores(*lists, average="micro", scheme=IOB2, zero_division=0)
    return [float(share) for share in (*micro[:3], strict[2])]
