"""Evaluation of a saved model on labelled data."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybridner.config.choices import Misaligned
from hybridner.config.model import is_original
from hybridner.corpora.corpus import Corpus, Split, SplitReport
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.read import read_corpus, read_split
from hybridner.corpora.schemes import entity_spans
from hybridner.corpora.sources import file_source, find_sources
from hybridner.corpora.splits import shown_split, split_name
from hybridner.errors import InputError
from hybridner.evaluation.analysis import Analysis, Mention, analyse, mentions
from hybridner.evaluation.bootstrap import Interval, Units, entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.calibration import Calibration, calibrate
from hybridner.evaluation.scoring import Scores, score
from hybridner.model.twins import versions
from hybridner.tagging.decoding import ScoredSpans, argmax_tags, bio_tags, decode_many, scored_spans_many
from hybridner.tagging.inference import predict_parts
from hybridner.tagging.tagger import Tagger


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Data that models are scored on.

    Attributes:
        name: name of the corpus, or path of the file.
        split: split of the corpus; None for a file.
        gold: BIO tags, one tuple per sentence.
        train: entities of the train data at ``train_name``; both are None without train data.
    """

    name: str
    split: str | None
    sentences: Split
    gold: list[tuple[str, ...]]
    report: SplitReport
    units: Units
    train: frozenset[Mention] | None
    train_name: str | None
    notes: list[str]

    @property
    def title(self) -> str:
        """Return the name of the data for users."""
        return self.name if self.split is None else f"{self.name}, {shown_split(self.split)} split"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "data": self.name,
            "split": self.split,
            "documents": self.report.documents,
            "repairs": self.report.repairs,
            "train": self.train_name,
            "bootstrap": self.units.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """Tags and scores that a model predicts for labelled data.

    Attributes:
        tags: the most probable valid sequence of tags, one list per sentence.
        scored: the entities of ``tags`` with their scores (see :class:`hybridner.tagging.decoding.Entity`).
        argmax: the most probable tag of each word by itself; None unless the model is a setting of the original's.
    """

    tags: list[list[str]]
    scored: list[ScoredSpans]
    argmax: list[list[str]] | None
    num_windowed: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A model, and the backend, device, dtype and versions that computed with it."""

    model: str
    backend: str
    device: str
    dtype: str
    versions: dict[str, str]

    def __str__(self) -> str:
        computed = " ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.model} in {self.backend} on {self.device}, {self.dtype} ({computed})"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on labelled data: those of the tags that ``predict`` returns.

    Attributes:
        scores: scores of the most probable valid sequences of tags.
        f1_interval: confidence interval of their micro F1.
        analysis: their mistakes.
        calibration: calibration of the scores of their entities.
        argmax: scores of each word's most probable tag by itself, which the original publishes; None unless the model
            is a setting of the original's.
        num_windowed: number of sentences longer than the model's ``max_length``.
    """

    data: LabelledData
    setting: Setting
    scores: Scores
    f1_interval: Interval
    analysis: Analysis
    calibration: Calibration
    argmax: Scores | None
    num_windowed: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        interval = {"decoded": True, "f1_interval": list(self.f1_interval)}
        return {
            **asdict(self.setting),
            **self.data.to_dict(),
            "num_windowed": self.num_windowed,
            "scores": {**self.scores.to_dict(), **interval, **self.analysis.to_dict()},
            "argmax": None if self.argmax is None else self.argmax.to_dict(),
            "calibration": self.calibration.to_dict(),
            "notes": self.notes,
        }


def evaluate(
    tagger: Tagger,
    data: str | Path,
    split: str | None = None,
    train: str | Path | None = None,
    *,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> Evaluation:
    """Score ``tagger`` on labelled data; entities of a type it does not know count as missed.

    Args:
        tagger: the model.
        data: a labelled file, or the name of a corpus.
        split: split of the corpus, "test" by default. A file has none.
        train: a file, or a corpus with a train split, that contains the seen entities; by default ``data``.
        columns: positions of word and tag in files of columns.
        misaligned: treatment of spans that do not fall on word boundaries.

    Raises:
        InputError: the data or the split is missing, or the model has no tokenizer.
    """
    labelled = read_labelled(data, split, train, columns=columns, misaligned=misaligned)
    prediction = predict(tagger, labelled)
    sentences = zip(labelled.gold, prediction.scored, strict=True)
    scored = [(prob, span in entity_spans(gold)) for gold, spans in sentences for span, prob in spans]
    return Evaluation(
        labelled,
        setting_of(tagger),
        score(labelled.gold, prediction.tags),
        interval_of_counts(entity_counts(labelled.gold, prediction.tags, labelled.units)),
        analyse(labelled.sentences, prediction.tags, labelled.train),
        calibrate([prob for prob, _ in scored], [is_right for _, is_right in scored]),
        None if prediction.argmax is None else score(labelled.gold, prediction.argmax),
        prediction.num_windowed,
        [*labelled.notes, *notes_on(labelled, tagger, prediction)],
    )


def read_labelled(
    data: str | Path,
    split: str | None = None,
    train: str | Path | None = None,
    *,
    seen: bool = True,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> LabelledData:
    """Read labelled data for :func:`evaluate`, and with ``seen`` also the train split of the corpus, if it has one.

    Raises:
        InputError: the data are missing, break their format, or are a file although ``split`` is given.
    """
    data = str(data)
    is_file = _is_file(data)
    if is_file and split is not None:
        raise InputError(f"{data}: a file, which has no {shown_split(split)} split; leave --split out")
    name = split_name(split or "test")
    has_train = seen and not (train or is_file or name == "train") and {name, "train"} <= find_sources(data, []).keys()
    corpus = _read(data, (name, "train") if has_train else (name,), columns, misaligned)
    of_train = corpus if has_train else _read(str(train), ("train",), columns, misaligned) if train else None
    sentences = corpus.splits[name]
    gold = [sentence.tags or () for sentence in sentences]
    return LabelledData(
        corpus.name,
        None if is_file else name,
        sentences,
        gold,
        corpus.reports[name],
        resampling_units(len(gold), [sentence.document for sentence in sentences]),
        mentions(of_train.splits["train"]) if of_train else None,
        of_train.reports["train"].path if of_train else None,
        corpus.notes,
    )


def _read(data: str, splits: tuple[str, ...], columns: ColumnFormat, misaligned: Misaligned) -> Corpus:
    """Read ``splits`` of a corpus; a file counts as the first of them."""
    if not _is_file(data):
        return read_corpus(data, require_train=False, splits=splits, columns=columns, misaligned=misaligned)
    notes: list[str] = []
    split, report = read_split(*file_source(Path(data), columns, misaligned), notes)
    return Corpus(data, {splits[0]: split}, {splits[0]: report}, (), notes)


def predict(tagger: Tagger, data: LabelledData) -> Prediction:
    """Tag the sentences of ``data``, a few thousand at a time.

    Raises:
        InputError: the model has no tokenizer, or its logits are not finite.
    """
    model, encoded = tagger.model, tagger.encode(data.sentences)
    tags: list[list[str]] = []
    scored: list[ScoredSpans] = []
    argmax: list[list[str]] | None = [] if is_original(model.config) else None
    for logits in predict_parts(tagger.predictor, encoded, model.config.input.pad_token_id):
        decoded = bio_tags(decode_many(logits, tagger.transitions), model.labels)
        tags += decoded
        scored += scored_spans_many(decoded, logits, model.labels, tagger.transitions)
        if argmax is not None:
            argmax += bio_tags([argmax_tags(one) for one in logits], model.labels)
    return Prediction(tags, scored, argmax, encoded.num_windowed)


def setting_of(tagger: Tagger) -> Setting:
    """Describe the tagger's model and the software and device that compute with it."""
    return Setting(tagger.model.where, tagger.backend, tagger.predictor.device, tagger.dtype, versions(tagger.backend))


def notes_on(data: LabelledData, tagger: Tagger, prediction: Prediction) -> list[str]:
    """Write notes on entity types that the model does not know, and on sentences cut into windows, if there are any."""
    unknown = sorted(set(data.report.entities) - {label[2:] for label in tagger.model.labels})
    notes = [f"types the model does not know count as missed: {', '.join(unknown)}"] if unknown else []
    if prediction.num_windowed:
        notes.append(f"sentences longer than the model's maximum, cut into windows: {prediction.num_windowed:,}")
    return notes


def _is_file(data: str) -> bool:
    return Path(data).exists() and not Path(data).is_dir()
