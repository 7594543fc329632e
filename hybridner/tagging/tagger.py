"""Text in, entities out, with either backend."""

import dataclasses
import reprlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Float, Int

from hybridner.batches.batch import Batch
from hybridner.batches.encoding import Encoded, encode
from hybridner.config.choices import Device, Dtype
from hybridner.config.presets import make_options
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.model.learner import Predictor
from hybridner.model.twins import Backend, choose_backend, predictor_class
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.tagging.decoding import Entity, argmax_tags, bio_tags, decode_many, entities_of, scored_spans_many
from hybridner.tagging.inference import one_ahead, predict_chunks, predict_words
from hybridner.tagging.lattice import model_transitions
from hybridner.text.words import SentenceMode, SplitText, Word, join_words, split_text

_TEXTS_AT_ONCE, _FIRST_TEXTS = 1024, 64
_CHARACTERS_AT_ONCE = 1 << 18


def load(
    source: str | Path,
    backend: Backend | None = None,
    *,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> "Tagger":
    """Open a saved model for use.

    Args:
        source: a run (meaning its best model) or a model folder, made by either backend; OWNER/NAME on the Hub;
            or a checkpoint of the original, ``NAME.pth``, which has no tokenizer: ``logits`` works, and text can be
            tagged after ``hybridner convert``.
        backend: the framework that computes: "flax" or "torch"; by default the one installed, Flax first.
        device: "auto", "cpu", "cuda", "cuda:0" to "cuda:7", "tpu" or "mps".
        dtype: type of the computation.

    Raises:
        InputError: there is no model, it is damaged, the backend's packages are not installed, or there is no such
            device or type.
    """
    model = open_model(Path(source).expanduser() if str(source).startswith("~") else source)
    return Tagger(model, choose_backend(backend), device=device, dtype=dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedText:
    """The words, tags and entities of one text.

    Attributes:
        text: the text.
        words: its words with their character offsets.
        tags: one BIO tag per word; a valid sequence, unless raw tags were asked for.
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
    """A saved model in use. Several threads may call its methods at once.

    Attributes:
        model: the saved model without its weights, which only ``predictor`` keeps.
        backend: the framework that computes.
        dtype: type of the computation.
        predictor: computes the logits.
    """

    def __init__(
        self, model: SavedModel, backend: Backend, *, device: Device = "auto", dtype: Dtype = "float32"
    ) -> None:
        self.model, self.backend, self.dtype = dataclasses.replace(model, weights={}), backend, dtype
        self.transitions = model_transitions(model.labels, model.weights)
        devices = make_options("original", device=device, dtype=dtype, parallel="jit").devices
        self.predictor: Predictor = predictor_class(backend)(model.config, model.weights, devices)
        self._one_encodes = threading.Lock()

    @overload
    def tag(self, text: str, sentences: SentenceMode = "auto", *, raw: bool = False) -> list[Entity]: ...

    @overload
    def tag(self, text: list[str], sentences: SentenceMode = "auto", *, raw: bool = False) -> list[list[Entity]]: ...

    def tag(
        self, text: str | list[str], sentences: SentenceMode = "auto", *, raw: bool = False
    ) -> list[Entity] | list[list[Entity]]:
        """Find the entities of a text, or of each text of a list; ``text[entity.start:entity.end] == entity.text``.

        Args:
            text: any text, which may be empty, or a list of texts.
            sentences: "auto" finds the sentences, "line" makes each line a sentence, "none" the whole text.
            raw: choose the most probable label of each word by itself instead of the most probable valid sequence. An
                I- without an entity of its type before it starts one, as conlleval reads it. A score means the
                same: the probability of exactly this entity, given that the tags are valid.

        Returns:
            The entities in the order of the text; for a list, one such list per text.

        Raises:
            InputError: the model has no tokenizer, or ``text`` is neither a text nor a list of texts.
        """
        if isinstance(text, str):
            return next(self.tag_texts([text], sentences, raw=raw)).entities
        if not isinstance(text, Iterable):
            raise InputError(f"expected a text or a list of texts, not {reprlib.repr(text)}")
        return [tagged.entities for tagged in self.tag_texts(text, sentences, raw=raw)]

    def tag_texts(
        self, texts: Iterable[str | SplitText], sentences: SentenceMode = "auto", *, raw: bool = False
    ) -> Iterator[TaggedText]:
        """Tag many texts in order, a chunk of at most 1,024 or about 262,144 characters at a time.

        While the device computes, the next chunk is split into words. If reading a text raises, the results of the
        texts before it come first. A text is a string, or has its words and sentences already, such as
        :func:`hybridner.text.words.join_words` returns; ``sentences`` and ``raw`` are as for :meth:`tag`.

        Raises:
            InputError: the model has no tokenizer, or ``texts`` is a single text or contains something else.
        """
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise InputError(f"expected several texts, such as a list of them, not {reprlib.repr(texts)}")
        return self._tag_texts(texts, sentences, raw)

    def _tag_texts(self, texts: Iterable[str | SplitText], sentences: SentenceMode, raw: bool) -> Iterator[TaggedText]:
        failures: list[Exception] = []
        prepared = one_ahead(partial(self._prepare, mode=sentences), _chunks(texts, failures))
        pad_token_id = self.model.config.input.pad_token_id
        for (split, windowed), logits in predict_chunks(self.predictor, prepared, pad_token_id):
            yield from self._tagged(split, windowed, logits, raw)
        if failures:
            raise failures[0]

    def tag_words(self, words: Sequence[str], *, raw: bool = False) -> list[str]:
        """Tag the ``words`` of a sentence: one BIO tag per word; ``raw`` as for :meth:`tag`.

        Raises:
            InputError: the model has no tokenizer, or ``words`` is not a sequence of words.
        """
        if not isinstance(words, Sequence) or isinstance(words, str) or not all(isinstance(w, str) for w in words):
            raise InputError(f"expected the words of a sentence, such as a list of them, not {reprlib.repr(words)}")
        return next(self.tag_texts([join_words(words)], raw=raw)).tags

    def word_logits(self, sentences: Sequence[Sequence[str]]) -> tuple[list[np.ndarray], list[bool]]:
        """Compute logits ``[num_words, num_labels]`` of each sentence, and which sentences needed windows.

        Raises:
            InputError: the model has no tokenizer.
        """
        encoded = self.encode(Sentence(tuple(words)) for words in sentences)
        return predict_words(self.predictor, encoded, self.model.config.input.pad_token_id), _is_windowed(encoded)

    def _prepare(
        self, texts: list[str | SplitText], mode: SentenceMode
    ) -> tuple[tuple[list[SplitText], list[bool]], Encoded]:
        split = [split_text(text, mode) if isinstance(text, str) else text for text in texts]
        sentences = (words for text in split for words in text.sentences)
        encoded = self.encode(Sentence(tuple(word.text for word in words)) for words in sentences)
        return (split, _is_windowed(encoded)), encoded

    def encode(self, sentences: Iterable[Sentence]) -> Encoded:
        """Encode sentences with the model's tokenizer and labels.

        Raises:
            InputError: the model has no tokenizer.
        """
        model = self.model
        if model.tokenizer is None:
            raise InputError(f"{model.where}: has no tokenizer; convert the model again with --tokenizer FILE")
        with self._one_encodes:
            return encode(sentences, model.tokenizer, model.labels, model.config.input.max_length)

    def _tagged(
        self, texts: list[SplitText], windowed: list[bool], logits: list[np.ndarray], raw: bool
    ) -> Iterator[TaggedText]:
        labels, transitions = self.model.labels, self.transitions
        numbers = [argmax_tags(one) for one in logits] if raw else decode_many(logits, transitions)
        all_tags = bio_tags(numbers, labels)
        found = zip(all_tags, scored_spans_many(all_tags, logits, labels, transitions), windowed, strict=True)
        for text, sentences in texts:
            tags: list[str] = []
            entities: list[Entity] = []
            num_windowed = 0
            for sentence in sentences:
                sentence_tags, spans, is_windowed = next(found)
                tags += sentence_tags
                entities += entities_of(spans, sentence, text)
                num_windowed += is_windowed
            ends = list(accumulate(map(len, sentences)))
            yield TaggedText(text, list(chain(*sentences)), tags, entities, ends, num_windowed)

    def logits(
        self, input_ids: Int[np.ndarray, "batch length"], attention_mask: Int[np.ndarray, "batch length"]
    ) -> Float[np.ndarray, "batch length num_labels"]:
        """Compute the logits of every piece.

        Args:
            input_ids: word pieces.
            attention_mask: 0 for padding, 1…n for the sentence within the row (1 where a row is one sentence).

        Raises:
            InputError: the shapes differ, an id is outside the vocabulary, or a row is longer than ``max_length``.
        """
        input_ids, attention_mask = np.asarray(input_ids), np.asarray(attention_mask)
        config = self.model.config.input
        if config.kind == "words":
            raise InputError(f"{self.model.where}: reads words, not word pieces; use word_logits")
        if input_ids.ndim != 2 or input_ids.shape != attention_mask.shape:
            raise InputError(
                f"input_ids {input_ids.shape} and attention_mask {attention_mask.shape}: expected two of one shape "
                "[batch, length]"
            )
        if input_ids.size and not 0 <= input_ids.min() <= input_ids.max() < config.vocab_size:
            raise InputError(f"input_ids: ids must be from 0 to {config.vocab_size - 1}")
        if input_ids.shape[1] > config.max_length:
            raise InputError(f"input_ids: rows of {input_ids.shape[1]} pieces; expected at most {config.max_length}")
        ids, mask, none = input_ids.astype(np.int32), attention_mask.astype(np.int32), np.zeros(0, np.int32)
        batch = Batch(ids, mask, np.zeros_like(ids), none, none, none, none)
        return self.predictor.gather(self.predictor.predict(batch))


def _chunks(texts: Iterable[str | SplitText], failures: list[Exception]) -> Iterator[list[str | SplitText]]:
    """Group texts into chunks, the first small to give the device work soon; put an error of ``texts`` in failures."""
    chunk: list[str | SplitText] = []
    characters, most = 0, min(_FIRST_TEXTS, _TEXTS_AT_ONCE)
    try:
        for text in texts:
            if not isinstance(text, str | SplitText):
                raise InputError(f"expected a text, not {reprlib.repr(text)}")
            chunk.append(text)
            characters += len(text if isinstance(text, str) else text.text)
            if len(chunk) >= most or characters >= _CHARACTERS_AT_ONCE:
                yield chunk
                chunk, characters, most = [], 0, min(4 * most, _TEXTS_AT_ONCE)
    except Exception as error:
        failures.append(error)
    if chunk:
        yield chunk


def _is_windowed(encoded: Encoded) -> list[bool]:
    """Mark the sentences that were cut into windows."""
    windows: list[bool] = (np.bincount(encoded.sentence) > 1).tolist()
    return windows
