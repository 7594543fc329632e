"""Evaluation of a saved model on labelled data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridner.config.choices import Misaligned
from hybridner.corpora.corpus import Split, SplitReport
from hybridner.corpora.formats import PLAIN, ColumnFormat
from hybridner.corpora.read import read_corpus, read_file, read_split, split_name
from hybridner.corpora.schemes import entity_spans
from hybridner.corpora.sources import file_source, find_sources
from hybridner.errors import InputError
from hybridner.evaluation.analysis import Analysis, Mention, analyse, mentions
from hybridner.evaluation.bootstrap import Interval, Units, entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.calibration import Calibration, calibrate
from hybridner.evaluation.scoring import Scores, score
from hybridner.model.twins import versions
from hybridner.tagging.decoding import ScoredSpans, argmax_tags, bio_tags, decode_many, scored_spans_many
from hybridner.tagging.inference import predict_words
from hybridner.tagging.tagger import Tagger


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Data that models are scored on.

    Attributes:
        name: of the corpus, or of the file.
        split: of the corpus; None for a file.
        sentences: with gold BIO tags.
        gold: these tags, one tuple per sentence.
        report: counts from reading the data.
        units: units that the bootstrap draws.
        train: the entities of the train data; None without train data.
        train_name: path or name of the train data.
        notes: notes on the data.
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
        """Name of the data for people."""
        return self.name if self.split is None else f"{self.name}, {self.split} split"

    def to_dict(self) -> dict[str, Any]:
        """Turn the description of the data into plain values."""
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
        argmax: the most probable tag of each word by itself, one list per sentence.
        decoded: the most probable valid sequence of tags.
        scored: the entities of ``decoded`` with their scores (see :class:`hybridner.tagging.decoding.Entity`).
        num_windowed: sentences longer than the model's ``max_length``.
    """

    argmax: list[list[str]]
    decoded: list[list[str]]
    scored: list[ScoredSpans]
    num_windowed: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A model, and the backend, device, dtype and versions that computed with it."""

    model: str
    labels: tuple[str, ...]
    backend: str
    device: str
    dtype: str
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Turn all but the labels into plain values."""
        names = ("model", "backend", "device", "dtype", "versions")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        computed = " ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.model} in {self.backend} on {self.device}, {self.dtype} ({computed})"


@dataclass(frozen=True, slots=True)
class Result:
    """Scores of one way to choose the tags.

    Attributes:
        scores: of the tags.
        f1_interval: bootstrap interval of the micro F1.
        analysis: of the mistakes.
    """

    scores: Scores
    f1_interval: Interval
    analysis: Analysis

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values."""
        return {**self.scores.to_dict(), "f1_interval": list(self.f1_interval), **self.analysis.to_dict()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on labelled data, with the data and the setting.

    Attributes:
        argmax: of each word's most probable tag; the headline, and the score that selects the best epoch.
        decoded: of the most probable valid sequence of tags.
        calibration: of the scores of the decoded entities.
        num_windowed: sentences longer than the model's ``max_length``.
        notes: notes on the data.
    """

    data: LabelledData
    setting: Setting
    argmax: Result
    decoded: Result
    calibration: Calibration
    num_windowed: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Turn into plain values."""
        return {
            **self.setting.to_dict(),
            **self.data.to_dict(),
            "num_windowed": self.num_windowed,
            "argmax": self.argmax.to_dict(),
            "decoded": self.decoded.to_dict(),
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
        split: of the corpus, "test" by default. A file has none.
        train: a file, or a corpus of which the train split, contains the seen entities; by default ``data``.
        columns: positions of word and tag in files of columns.
        misaligned: treatment of spans that do not fall on word boundaries.

    Raises:
        InputError: the data or the split is missing, or the model has no tokenizer.
    """
    train = None if train is None else str(train)
    labelled = read_labelled(str(data), split, train, columns=columns, misaligned=misaligned)
    prediction = predict(tagger, labelled)
    right = [set(entity_spans(tags)) for tags in labelled.gold]
    scored = [
        (score, span in spans) for spans, one in zip(right, prediction.scored, strict=True) for span, score in one
    ]
    setting = setting_of(tagger)
    return Evaluation(
        labelled,
        setting,
        _result(labelled, prediction.argmax),
        _result(labelled, prediction.decoded),
        calibrate([score for score, _ in scored], [is_right for _, is_right in scored]),
        prediction.num_windowed,
        [*labelled.notes, *unknown_types(labelled, setting)],
    )


def read_labelled(
    data: str,
    split: str | None = None,
    train: str | None = None,
    *,
    seen: bool = True,
    columns: ColumnFormat = PLAIN,
    misaligned: Misaligned = "error",
) -> LabelledData:
    """Read labelled data, given as for :func:`evaluate`; with ``seen`` also the corpus's train split, if any.

    Raises:
        InputError: the data are missing, break their format, or are a file although ``split`` is given.
    """
    train_split: Split | None = None
    train_name: str | None = None
    notes: list[str]
    if _is_file(data):
        if split is not None:
            raise InputError(f"{data}: a file, which has no {split} split; leave --split out")
        name, notes = data, []
        sentences, report = read_split(*file_source(Path(data), True, columns, misaligned), notes)
    else:
        split = split_name(split or "test")
        with_train = seen and train is None and split != "train" and {split, "train"} <= find_sources(data, []).keys()
        splits = (split, "train") if with_train else (split,)
        corpus = read_corpus(data, require_train=False, splits=splits, columns=columns, misaligned=misaligned)
        sentences, report, name, notes = corpus.splits[split], corpus.reports[split], corpus.name, list(corpus.notes)
        if with_train:
            train_split, train_name = corpus.splits["train"], corpus.reports["train"].path
    if train is not None:
        train_split, train_report = _read_train(train, columns, misaligned)
        train_name = train_report.path
    gold = [sentence.tags or () for sentence in sentences]
    return LabelledData(
        name,
        split,
        sentences,
        gold,
        report,
        resampling_units(len(gold), [sentence.document for sentence in sentences]),
        None if train_split is None else mentions(train_split),
        train_name,
        notes,
    )


def predict(tagger: Tagger, data: LabelledData) -> Prediction:
    """Tag the sentences of ``data``.

    Raises:
        InputError: the model has no tokenizer, or its logits are not finite.
    """
    model = tagger.model
    encoded = tagger.encode(data.sentences)
    logits = predict_words(tagger.predictor, encoded, model.config.input.pad_token_id)
    decoded = bio_tags(decode_many(logits, tagger.transitions), model.labels)
    return Prediction(
        bio_tags([argmax_tags(one) for one in logits], model.labels),
        decoded,
        scored_spans_many(decoded, logits, model.labels, tagger.transitions),
        encoded.num_windowed,
    )


def setting_of(tagger: Tagger) -> Setting:
    """Describe the tagger's model and what computes with it."""
    model = tagger.model
    return Setting(
        model.where, model.labels, tagger.backend, tagger.predictor.device, tagger.dtype, versions(tagger.backend)
    )


def unknown_types(data: LabelledData, setting: Setting) -> list[str]:
    """Write a note on the entity types of the data that the model does not know; none if it knows all."""
    unknown = sorted(set(data.report.entities) - {label[2:] for label in setting.labels})
    return [f"types the model does not know count as missed: {', '.join(unknown)}"] if unknown else []


def _result(data: LabelledData, tags: Sequence[Sequence[str]]) -> Result:
    return Result(
        score(data.gold, tags),
        interval_of_counts(entity_counts(data.gold, tags, data.units)),
        analyse(data.sentences, tags, data.train),
    )


def _read_train(train: str, columns: ColumnFormat, misaligned: Misaligned) -> tuple[Split, SplitReport]:
    if _is_file(train):
        return read_file(Path(train), columns=columns, misaligned=misaligned)
    corpus = read_corpus(train, require_train=False, splits=("train",), columns=columns, misaligned=misaligned)
    return corpus.splits["train"], corpus.reports["train"]


def _is_file(data: str) -> bool:
    return Path(data).exists() and not Path(data).is_dir()
