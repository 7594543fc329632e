"""Comparison of two models on the same data: the difference in F1 with its interval, and where they differ."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybridner.config.choices import Misaligned
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.schemes import Span, entity_spans
from hybridner.evaluation.analysis import CORRECT, Example, Mention, Pair, align, mention
from hybridner.evaluation.bootstrap import Difference, entity_counts, paired_difference
from hybridner.evaluation.evaluate import (
    LabelledData,
    Prediction,
    Setting,
    predict,
    read_labelled,
    setting_of,
    unknown_types,
)
from hybridner.evaluation.scoring import Scores, score
from hybridner.tagging.tagger import Tagger

EXAMPLES = 20
Tags = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class RightBy:
    """Gold entities by the models that found them, with the right words and type."""

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0


@dataclass(frozen=True, slots=True)
class Paired:
    """Both models' scores for one way to choose the tags.

    Attributes:
        a: scores of A.
        b: scores of B.
        difference: in micro F1.
        right_by: gold entities of each type.
        words_tagged_differently: number of words.
    """

    a: Scores
    b: Scores
    difference: Difference
    right_by: dict[str, RightBy]
    words_tagged_differently: int

    @property
    def right_by_in_all(self) -> RightBy:
        """Gold entities of all types by the models that found them."""
        total: Counter[str] = Counter()
        for one in self.right_by.values():
            total.update(asdict(one))
        return RightBy(**total)

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            **asdict(self.difference),
            "right_by": {**asdict(self.right_by_in_all), "by_type": {k: asdict(v) for k, v in self.right_by.items()}},
            "words_tagged_differently": self.words_tagged_differently,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer at a gold entity: one of ``analysis.KINDS``, and the predicted entity if there is one."""

    kind: str
    predicted: Mention | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gold entity and both models' answers, how often they occur together, and their first occurrence."""

    gold: Mention
    a: Answer
    b: Answer
    count: int
    example: Example


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same labelled data.

    Attributes:
        data: the data they were scored on.
        a: the first model and its setting.
        b: the second model and its setting.
        argmax: for each word's most probable tag, the headline.
        decoded: for the most probable valid sequence of tags.
        verdicts: on the headline's tags: under "only_a", "only_b" and "neither" the ``EXAMPLES`` most frequent.
        notes: notes on data and labels.
    """

    data: LabelledData
    a: Setting
    b: Setting
    argmax: Paired
    decoded: Paired
    verdicts: dict[str, list[Verdict]]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values."""
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            **self.data.to_dict(),
            "argmax": self.argmax.to_dict(),
            "decoded": self.decoded.to_dict(),
            "examples": {who: [asdict(one) for one in verdicts] for who, verdicts in self.verdicts.items()},
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
    """Score two models on the same labelled data. Their labels may differ: entities of an unknown type count as missed.

    Args:
        a: a model.
        b: another model, or the same one in the other backend.
        data: a labelled file, or the name of a corpus.
        split: of the corpus, "test" by default. A file has none.
        columns: positions of word and tag in files of columns.
        misaligned: treatment of spans that do not fall on word boundaries.

    Raises:
        InputError: the data or the split is missing, or a model has no tokenizer.
    """
    labelled = read_labelled(data, split, seen=False, columns=columns, misaligned=misaligned)
    predictions = predict(a, labelled), predict(b, labelled)
    settings = setting_of(a), setting_of(b)
    return Comparison(
        labelled,
        *settings,
        _paired(labelled, *(one.argmax for one in predictions)),
        _paired(labelled, *(one.decoded for one in predictions)),
        _verdicts(labelled, *(one.argmax for one in predictions)),
        [*labelled.notes, *_label_notes(labelled, *settings), *_window_notes(*predictions)],
    )


def _paired(data: LabelledData, a: Tags, b: Tags) -> Paired:
    counts_a, counts_b = (entity_counts(data.gold, tags, data.units) for tags in (a, b))
    right_by: dict[str, Counter[str]] = {kind: Counter() for kind in data.report.entities}
    for gold, one, other in zip(data.gold, a, b, strict=True):
        found_a, found_b = set(entity_spans(one)), set(entity_spans(other))
        for span in entity_spans(gold):
            right_by[span[0]][_who(span in found_a, span in found_b)] += 1
    return Paired(
        score(data.gold, a),
        score(data.gold, b),
        paired_difference(counts_a, counts_b),
        {kind: RightBy(**counts) for kind, counts in right_by.items()},
        sum(x != y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)),
    )


def _who(a: bool, b: bool) -> str:
    """Name the field of :class:`RightBy` for an entity that A found or not, and B found or not."""
    return "both" if a and b else "only_a" if a else "only_b" if b else "neither"


def _verdicts(data: LabelledData, a: Tags, b: Tags) -> dict[str, list[Verdict]]:
    counts: Counter[tuple[Mention, Answer, Answer]] = Counter()
    examples: dict[tuple[Mention, Answer, Answer], Example] = {}
    for sentence, one, other in zip(data.sentences, a, b, strict=True):
        gold = entity_spans(sentence.tags or ())
        answers = [dict(_answers(sentence.words, align(gold, entity_spans(tags)))) for tags in (one, other)]
        for span in gold:
            key = (mention(sentence.words, span), answers[0][span], answers[1][span])
            counts[key] += 1
            examples.setdefault(key, Example(list(sentence.words), span[1], span[2], sentence.line))
    verdicts: dict[str, list[Verdict]] = {"only_a": [], "only_b": [], "neither": []}
    for key, count in counts.most_common():
        who = _who(key[1].kind == CORRECT, key[2].kind == CORRECT)
        if who != "both" and len(verdicts[who]) < EXAMPLES:
            verdicts[who].append(Verdict(*key, count, examples[key]))
    return verdicts


def _answers(words: Sequence[str], pairs: Sequence[Pair]) -> Iterator[tuple[Span, Answer]]:
    for pair in pairs:
        if pair.gold is not None:
            found = None if pair.predicted is None else mention(words, pair.predicted)
            yield pair.gold, Answer(pair.kind, found)


def _label_notes(data: LabelledData, a: Setting, b: Setting) -> list[str]:
    notes = []
    for name, one, other in (("A", a, b), ("B", b, a)):
        only = sorted({label[2:] for label in one.labels} - {label[2:] for label in other.labels})
        if only:
            notes.append(f"types that only {name} knows: {', '.join(only)}")
        notes += [f"{name}: {note}" for note in unknown_types(data, one)]
    return notes


def _window_notes(a: Prediction, b: Prediction) -> list[str]:
    return [
        f"{name}: sentences longer than the model takes, cut into windows: {one.num_windowed:,}"
        for name, one in (("A", a), ("B", b))
        if one.num_windowed
    ]
