"""Text in, entities out, with either twin."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from hybridner.config import TrainingConfig
from hybridner.data.batches import Batch
from hybridner.data.corpus import Sentence
from hybridner.data.encoding import encode
from hybridner.decoding import Entity, decode, entities
from hybridner.errors import InputError
from hybridner.inference import predict_words
from hybridner.learner import Learner
from hybridner.model_dir import SavedModel, open_model
from hybridner.text import SentenceMode, Word, split_sentences, split_words
from hybridner.twins import Backend, choose_backend, learner_class

_TEXTS_AT_ONCE = 256


def load(
    source: str | Path,
    backend: Backend | None = None,
    *,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16", "float64"] = "float32",
) -> "Tagger":
    """Open a saved model for use.

    Args:
        source: a run (meaning its best model) or a model folder, made by either twin, or a checkpoint of the original,
            ``NAME.pth``, which has no tokenizer: ``logits`` works, and text can be tagged after ``hybridner convert``.
        backend: the twin that computes: "flax" or "torch"; by default the one installed, Flax first.
        device: "auto", "cpu", "cuda", "tpu" or "mps".
        dtype: type of the computation.

    Raises:
        InputError: there is no model, it is damaged, or the twin's packages are not installed.
    """
    return Tagger(open_model(source), choose_backend(backend), device=device, dtype=dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedText:
    """What was found in one text.

    Attributes:
        text: the text.
        words: its words with their character offsets.
        tags: one valid BIO tag a word.
        entities: in the order of the text.
        sentence_ends: for each sentence, the number of words up to its end.
        num_windowed: sentences longer than the model's ``max_length``, cut into overlapping windows.
    """

    text: str
    words: list[Word]
    tags: list[str]
    entities: list[Entity]
    sentence_ends: list[int]
    num_windowed: int = 0


class Tagger:
    """A saved model in use."""

    def __init__(self, model: SavedModel, backend: Backend, *, device: str = "auto", dtype: Any = "float32") -> None:
        self.model, self.backend, self.dtype = model, backend, dtype
        options = TrainingConfig(device=device, dtype=dtype, parallel="jit")  # type: ignore[arg-type]
        self.learner: Learner = learner_class(backend)(model.config, options)
        self.learner.init(model.weights)

    def tag(self, text: str, sentences: SentenceMode = "auto") -> list[Entity]:
        """The entities of ``text``; ``text[entity.start:entity.end] == entity.text``.

        Args:
            text: any text; an empty one has no entities.
            sentences: "auto" finds the sentences, "line" takes each line as one, "none" the whole text.

        Raises:
            InputError: the model has no tokenizer.
        """
        return next(self.tag_texts([text], sentences)).entities

    def tag_texts(self, texts: Iterable[str], sentences: SentenceMode = "auto") -> Iterator[TaggedText]:
        """Tag many texts, some hundreds at a time, in order."""
        stream = iter(texts)
        while chunk := list(islice(stream, _TEXTS_AT_ONCE)):
            yield from self._tag_chunk(chunk, sentences)

    def _tag_chunk(self, texts: list[str], mode: SentenceMode) -> Iterator[TaggedText]:
        words_of = [
            [words for start, end in split_sentences(text, mode) if (words := split_words(text[start:end], start))]
            for text in texts
        ]
        flat = [words for sentences in words_of for words in sentences]
        logits, windowed = self.word_logits([[word.text for word in words] for words in flat])
        results = iter(zip(logits, windowed, strict=True))
        for text, sentences in zip(texts, words_of, strict=True):
            tagged = TaggedText(text, [], [], [], [])
            num_windowed = 0
            for words in sentences:
                sentence_logits, is_windowed = next(results)
                num_windowed += is_windowed
                ids = decode(sentence_logits, self.model.labels)
                tagged.words.extend(words)
                tagged.sentence_ends.append(len(tagged.words))
                tagged.tags.extend(self.model.labels[i] for i in ids)
                tagged.entities.extend(entities(ids, sentence_logits, self.model.labels, words, text))
            yield dataclasses.replace(tagged, num_windowed=num_windowed)

    def tag_words(self, words: Sequence[str]) -> list[str]:
        """One valid BIO tag for each of a sentence's ``words``."""
        (logits,), _ = self.word_logits([words])
        return [self.model.labels[i] for i in decode(logits, self.model.labels)]

    def word_logits(self, sentences: Sequence[Sequence[str]]) -> tuple[list[np.ndarray], list[bool]]:
        """Logits of each word, ``[num_words, num_labels]`` a sentence, and which sentences needed windows.

        Raises:
            InputError: the model has no tokenizer.
        """
        tokenizer = self.model.tokenizer
        if tokenizer is None:
            raise InputError(f"{self.model.where}: has no tokenizer; convert the model again with --tokenizer FILE")
        config = self.model.config
        rows = [Sentence(tuple(words)) for words in sentences]
        filled = [i for i, row in enumerate(rows) if row.words]
        logits = [np.zeros((0, config.num_labels), np.float32) for _ in rows]
        windowed = [False] * len(rows)
        if filled:
            encoded = encode((rows[i] for i in filled), tokenizer, self.model.labels, config.max_length)
            for i, values in zip(filled, predict_words(self.learner, encoded, config.pad_token_id), strict=True):
                logits[i] = values
            windows = np.bincount(encoded.sentence, minlength=len(filled))
            for i, count in zip(filled, windows, strict=True):
                windowed[i] = bool(count > 1)
        return logits, windowed

    def logits(
        self, input_ids: Int[np.ndarray, "batch length"], attention_mask: Int[np.ndarray, "batch length"]
    ) -> Float[np.ndarray, "batch length num_labels"]:
        """Logits of every piece.

        Args:
            input_ids: word pieces.
            attention_mask: 0 for padding, 1…n for the sentence within the row (1 where a row is one sentence).

        Raises:
            InputError: the shapes differ, an id is outside the vocabulary, or a row is longer than ``max_length``.
        """
        input_ids, attention_mask = np.asarray(input_ids), np.asarray(attention_mask)
        config = self.model.config
        if input_ids.ndim != 2 or input_ids.shape != attention_mask.shape:
            raise InputError(
                f"input_ids {input_ids.shape} and attention_mask {attention_mask.shape}: expected two of one shape "
                "[batch, length]"
            )
        if input_ids.size and not 0 <= input_ids.min() <= input_ids.max() < config.vocab_size:
            raise InputError(f"input_ids: ids must be from 0 to {config.vocab_size - 1}")
        if input_ids.shape[1] > config.max_length:
            raise InputError(f"input_ids: rows of {input_ids.shape[1]} pieces, the model takes {config.max_length}")
        none = np.zeros(0, np.int32)
        batch = Batch(
            input_ids.astype(np.int32),
            attention_mask.astype(np.int32),
            np.zeros(input_ids.shape, np.int32),
            none, none, none, none,
        )  # fmt: skip
        return self.learner.gather(self.learner.predict(batch))
