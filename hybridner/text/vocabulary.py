"""The words of a corpus and the features of any word: shape, affixes and characters, as numbers."""

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32

from hybridner.config.model import WordsInput
from hybridner.errors import InputError
from hybridner.files.reading import LARGEST_TOKENIZER, read_text
from hybridner.text.tokenizer import HasWords, WordTokenizer, load_tokenizer
from hybridner.text.vectors import WordVectors, normalized

PAD, UNKNOWN = 0, 1
AFFIXES = (slice(1), slice(2), slice(3), slice(-1, None), slice(-2, None), slice(-3, None), slice(-4, None))
_CASED = (True, True, False, True, False, False, False)
WORD, SHAPE, FIRST_AFFIX = 0, 1, 2
FIRST_CHARACTER = FIRST_AFFIX + len(AFFIXES)
_LONGEST_SHAPE = 8
_RUN = re.compile(r"(.)\1\1+")
_FORMAT = "hybridner words"
_START = f'{{\n"format": "{_FORMAT}"'


class Vocabulary:
    """The known words, shapes and characters of a model that reads words.

    Two words with the same lower-case letters and the same places of digits are one word of the vocabulary. Any other
    word is the unknown word, and still has a shape, affixes and characters.

    Attributes:
        counts: how often the train split has each known word, most frequent first.
        affix_rows: number of rows that each affix is hashed into.
        max_characters: characters of a word that count.
        vectors: frozen vectors of words that the model reads too, or None; they have a file of their own.
        pad_id: number of the type that fills rows.
    """

    vectors: WordVectors | None = None
    pad_id = PAD

    def __init__(
        self,
        counts: dict[str, int],
        shapes: Sequence[str],
        characters: Sequence[str],
        affix_rows: int = 4096,
        max_characters: int = 20,
    ) -> None:
        self.counts, self.affix_rows, self.max_characters = counts, affix_rows, max_characters
        self._shapes, self._characters = list(shapes), list(characters)
        self._word_ids, self._shape_ids, self._character_ids = (
            {name: number for number, name in enumerate(names, UNKNOWN + 1)} for names in (counts, shapes, characters)
        )

    def model_input(self, max_length: int) -> WordsInput:
        """Make the part of a model that reads these words."""
        return WordsInput(
            num_words=len(self.counts) + UNKNOWN + 1,
            num_shapes=len(self._shapes) + UNKNOWN + 1,
            num_characters=len(self._characters) + UNKNOWN + 1,
            max_length=max_length,
            affix_rows=self.affix_rows,
            max_characters=self.max_characters,
            vector_size=0 if self.vectors is None else self.vectors.size,
        )

    def encoder(self) -> "TypeTable":
        """Start to number the different words of some sentences."""
        return TypeTable(self)

    def features(self, word: str) -> list[int]:
        """Look up the numbers of a word, its shape, affixes and first characters; 0 fills the rest of a short word."""
        lower = word.lower()
        characters = [self._character_ids.get(character, UNKNOWN) for character in word[: self.max_characters]]
        return [
            self._word_ids.get(normalized(word), UNKNOWN),
            self._shape_ids.get(shape_of(word), UNKNOWN),
            *(
                slot * self.affix_rows + _hash((word if cased else lower)[part]) % self.affix_rows
                for slot, (part, cased) in enumerate(zip(AFFIXES, _CASED, strict=True))
            ),
            *characters,
            *[PAD] * (self.max_characters - len(characters)),
        ]

    def drop_probability(self, word: str) -> float:
        """Return the probability that training takes the word for unknown, 1 / (1 + its count in train)."""
        count = self.counts.get(normalized(word))
        return 0.0 if count is None else 1 / (1 + count)

    def to_json(self) -> str:
        """Serialize the vocabulary."""
        values = {
            "format": _FORMAT,
            "version": 1,
            "affix_rows": self.affix_rows,
            "max_characters": self.max_characters,
            "words": self.counts,
            "shapes": self._shapes,
            "characters": self._characters,
        }
        return json.dumps(values, indent=0) + "\n"

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON."""
        path.write_text(self.to_json(), encoding="utf-8")


class TypeTable:
    """The different words of a split, numbered from 1 in the order they come, with the features of each.

    Attributes:
        first, last: types in front of each sentence and after it: none.
        vectors: those of the vocabulary.
    """

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary, self.vectors = vocabulary, vocabulary.vectors
        self._numbers: dict[str, int] = {}

    def encode_sentences(self, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """Return one number for each word of each sentence."""
        numbers = self._numbers
        return [[[numbers.setdefault(word, len(numbers) + 1)] for word in words] for words in sentences]

    def features(self) -> Int32[np.ndarray, "num_types num_features"]:
        """Return the features of each type; row 0 is padding."""
        rows = [self._vocabulary.features(word) for word in self._numbers]
        return np.array([[PAD] * (FIRST_CHARACTER + self._vocabulary.max_characters), *rows], np.int32)

    def vector_rows(self) -> Int32[np.ndarray, "num_types"] | None:
        """Return the row of the vector of each type, -1 if it has none; None if there are no vectors."""
        vectors = self._vocabulary.vectors
        return None if vectors is None else np.concatenate(([np.int32(-1)], vectors.find(list(self._numbers))))

    def drop_probabilities(self) -> Float32[np.ndarray, "num_types"]:
        """Return the probability of each type to be taken for unknown in training."""
        return np.array([0, *map(self._vocabulary.drop_probability, self._numbers)], np.float32)


def load_saved(path: Path) -> WordTokenizer | Vocabulary:
    """Read the ``tokenizer.json`` of a run or a model: a tokenizer or a vocabulary of words.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    text = read_text(path, LARGEST_TOKENIZER)
    if not text.startswith(_START):
        return load_tokenizer(str(path))
    try:
        values = json.loads(text)
        counts, shapes, characters = values["words"], values["shapes"], values["characters"]
    except (ValueError, RecursionError, KeyError) as error:
        raise InputError(f"{path}: damaged vocabulary of words ({type(error).__name__}: {error})") from error
    names = [*shapes, *characters] if isinstance(shapes, list) and isinstance(characters, list) else [None]
    if not isinstance(counts, dict) or not all(type(count) is int and count > 0 for count in counts.values()):
        raise InputError(f"{path}: 'words' is not an object of words and their counts")
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: 'shapes' and 'characters' are not lists of strings")
    sizes = values.get("affix_rows"), values.get("max_characters")
    if not all(type(size) is int and 0 < size < 2**24 for size in sizes):
        raise InputError(f"{path}: 'affix_rows' and 'max_characters' are not whole numbers above 0")
    return Vocabulary(counts, shapes, characters, *sizes)


def train_vocabulary(sentences: Iterable[HasWords], vocab_size: int) -> Vocabulary:
    """Collect the ``vocab_size`` most frequent words of ``sentences``, and all their shapes and characters."""
    words: Counter[str] = Counter()
    for sentence in sentences:
        words.update(sentence.words)
    counts: Counter[str] = Counter()
    for word, count in words.items():
        counts[normalized(word)] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:vocab_size]
    shapes, characters = {shape_of(word) for word in words}, {character for word in words for character in word}
    return Vocabulary(dict(ordered), sorted(shapes), sorted(characters))


def shape_of(word: str) -> str:
    """Replace upper-case letters by X, lower-case ones by x, digits by d and other letters by o.

    Of a run of the same only two count, and of the whole eight.
    """
    classes = "".join(map(_class_of, word[: 4 * _LONGEST_SHAPE]))
    return _RUN.sub(r"\1\1", classes)[:_LONGEST_SHAPE]


def _class_of(character: str) -> str:
    if character.isupper():
        return "X"
    if character.islower():
        return "x"
    if character.isdigit():
        return "d"
    return "o" if character.isalpha() else character


def _hash(affix: str) -> int:
    return zlib.crc32(affix.encode("utf-8", "surrogatepass"))
