"""A saved model scored on a split of a corpus."""

from dataclasses import dataclass
from typing import Any

from hybridner.data.encoding import encode
from hybridner.data.read import read_corpus
from hybridner.decoding import decode
from hybridner.errors import InputError
from hybridner.inference import predict_words
from hybridner.scoring import Scores, score
from hybridner.tagging import Tagger


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of a model on a split, and what they were made with.

    Attributes:
        argmax: of each word's most probable tag; the headline, and what models are selected by.
        decoded: of the most probable valid sequence of tags.
        tags: the argmax tags, a list a sentence.
        num_windowed: sentences longer than the model's ``max_length``.
        notes: what has to be said about the data.
    """

    data: str
    split: str
    backend: str
    model: str
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
            "data": self.data,
            "split": self.split,
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
    corpus = read_corpus(data, require_train=False, splits=(split,))
    if split not in corpus.splits:
        raise InputError(f"{data}: no split {split!r}; there are {', '.join(corpus.splits) or 'none'}")
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
        model.where,
        score(gold, argmax),
        score(gold, decoded),
        argmax,
        encoded.num_windowed,
        notes,
    )
