"""A saved model scored on a split of a corpus."""

from dataclasses import dataclass
from typing import Any

from hybridner.data.encoding import encode
from hybridner.data.read import read_corpus, split_name
from hybridner.decoding import decode
from hybridner.errors import InputError
from hybridner.inference import predict_words
from hybridner.scoring import Scores, score
from hybridner.tagging import Tagger
from hybridner.twins import versions


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on a split, and what they were made with.

    Attributes:
        versions: of what computed.
        repairs: tags of the data that were changed to make valid sequences.
        argmax: of each word's most probable tag; the headline, and what models are selected by.
        decoded: of the most probable valid sequence of tags.
        tags: the argmax tags, a list a sentence.
        num_windowed: sentences longer than the model's ``max_length``.
        notes: what has to be said about the data.
    """

    data: str
    split: str
    backend: str
    device: str
    dtype: str
    versions: dict[str, str]
    model: str
    repairs: int
    argmax: Scores
    decoded: Scores
    tags: list[list[str]]
    num_windowed: int
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain values that name what they are."""
        return {
            "model": self.model,
            "backend": self.backend,
            "device": self.device,
            "dtype": self.dtype,
            "versions": self.versions,
            "data": self.data,
            "split": self.split,
            "repairs": self.repairs,
            "num_windowed": self.num_windowed,
            "argmax": self.argmax.to_dict(),
            "decoded": self.decoded.to_dict(),
            "notes": self.notes,
        }


def evaluate(tagger: Tagger, data: str, split: str) -> Evaluation:
    """Score ``tagger`` on a split; an entity type that it does not know counts as missed.

    Raises:
        InputError: the data or the split is not there, or the model has no tokenizer.
    """
    split = split_name(split)
    corpus = read_corpus(data, require_train=False, splits=(split,))
    model = tagger.model
    if model.tokenizer is None:
        raise InputError(f"{model.where}: has no tokenizer; convert the model again with --tokenizer FILE")
    sentences = corpus.splits[split]
    encoded = encode(sentences, model.tokenizer, model.labels, model.config.max_length)
    logits = predict_words(tagger.learner, encoded, model.config.pad_token_id)
    gold = [sentence.tags or () for sentence in sentences]
    argmax = [[model.labels[i] for i in one.argmax(-1)] for one in logits]
    decoded = [[model.labels[i] for i in decode(one, model.labels)] for one in logits]
    notes = list(corpus.notes)
    unknown = sorted(set(corpus.reports[split].entities) - {label[2:] for label in model.labels})
    if unknown:
        notes.append(f"types the model does not know count as missed: {', '.join(unknown)}")
    return Evaluation(
        corpus.name,
        split,
        tagger.backend,
        tagger.learner.device,
        tagger.dtype,
        versions(tagger.backend),
        model.where,
        corpus.reports[split].repairs,
        score(gold, argmax),
        score(gold, decoded),
        argmax,
        encoded.num_windowed,
        notes,
    )
