"""Tokenizers: WordPiece trained on a corpus, or a tokenizer from a file or the Hub."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hybridner.config.model import PiecesInput
from hybridner.errors import InputError, first_line
from hybridner.files.hub import fetch_model
from hybridner.files.paths import inside
from hybridner.files.reading import LARGEST_TOKENIZER, read_text

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
_OTHER_NAMES = {PAD: "<pad>", UNK: "<unk>", CLS: "<s>", SEP: "</s>"}
_FILES = ("tokenizer.json", "vocab.txt")
_PREFIX = "##"
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_CACHED = 200_000  # words; some 50 MB, however many a corpus has
LONGEST_WORD = 100  # characters; BERT's limit, beyond which a word is [UNK]
_LONGEST_CUT = 10_000  # characters; no model has room for more, and some tokenizers need quadratic time


class HasWords(Protocol):
    """A sentence: anything with words."""

    @property
    def words(self) -> Sequence[str]:
        """The words, in order."""


class WordTokenizer:
    """A tokenizer whose unit is the word of a corpus: each word becomes at least one piece.

    Attributes:
        pad_id: fills a batch.
        unk_id: replaces a word without pieces.
        cls_id: begins a sentence.
        sep_id: ends a sentence.
        first, last: pieces in front of each sentence and after it.
        vocab_size: number of pieces, special ones included.
    """

    def __init__(self, tokenizer: Tokenizer, where: str = "tokenizer") -> None:
        """Wrap ``tokenizer``, which came from ``where``.

        Raises:
            InputError: it has no padding, unknown, start or end piece.
        """
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer, self._where = tokenizer, where
        self.pad_id, self.unk_id, self.cls_id, self.sep_id = (
            _special(tokenizer, name, where) for name in (PAD, UNK, CLS, SEP)
        )
        self.vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.first, self.last = [self.cls_id], [self.sep_id]
        self._cache: dict[str, list[int]] = {}

    def model_input(self, max_length: int) -> PiecesInput:
        """Make the part of a model that reads these pieces."""
        return PiecesInput(self.vocab_size, self.pad_id, max_length)

    def encoder(self) -> "WordTokenizer":
        """Return what encodes sentences: the tokenizer itself."""
        return self

    def encode_sentences(self, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """Encode each word of each sentence by itself; of a longer word only 10,000 characters count.

        Raises:
            InputError: the library cannot encode a word, such as one without pieces and without an unknown piece.
        """
        if len(self._cache) > _MOST_CACHED:
            self._cache = {}
        new = list({word for words in sentences for word in words if word not in self._cache})
        # The library rejects lone surrogates.
        clean = [_SURROGATE.sub("\ufffd", word[:_LONGEST_CUT]) for word in new]
        with _errors_of_library(f"{self._where}: cannot cut words into pieces"):
            encodings = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        self._cache |= {word: one.ids or [self.unk_id] for word, one in zip(new, encodings, strict=True)}
        return [[self._cache[word] for word in words] for words in sentences]

    def to_json(self) -> str:
        """Serialize the tokenizer as the text of a ``tokenizer.json``."""
        return self._tokenizer.to_str(pretty=True)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        path.write_text(self.to_json(), encoding="utf-8")


def train_tokenizer(sentences: Iterable[HasWords], vocab_size: int, lower_case: bool = False) -> WordTokenizer:
    """Train WordPiece on the words of ``sentences``: the same bytes in every process.

    The library's trainer numbers characters in the order of a hash table. We pass them sorted, as special tokens, and
    copy the vocabulary into a model with only the real special tokens.

    Args:
        sentences: the train split.
        vocab_size: most pieces.
        lower_case: lower-case and strip accents first.

    Raises:
        InputError: ``vocab_size`` has no room for the characters.
    """
    tokenizer = _word_piece({}, lower_case)
    counts = Counter(word for sentence in sentences for word in sentence.words)
    cut = (tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(word)) for word in counts)
    alphabet = sorted({character for pieces in cut for piece, _ in pieces for character in piece})
    first = [PAD, UNK, CLS, SEP, MASK, *alphabet, *(_PREFIX + character for character in alphabet)]
    if vocab_size < len(first):
        raise InputError(
            f"vocab_size {vocab_size} is too small: the train split has {len(alphabet)} characters, "
            f"which need at least {len(first)} pieces"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=first, continuing_subword_prefix=_PREFIX, show_progress=False
    )
    tokenizer.train_from_iterator(sorted(counts.elements()), trainer)
    return WordTokenizer(_word_piece(tokenizer.get_vocab(with_added_tokens=True), lower_case))


def load_tokenizer(source: str, lower_case: bool | None = None) -> WordTokenizer:
    """Open a ``vocab.txt``, a ``tokenizer.json``, a folder with one of them, or a Hub id.

    Args:
        source: file, folder or Hub id; a local path wins.
        lower_case: for a ``vocab.txt``: lower-case and strip accents; by default only if no piece has an upper-case
            letter.

    Raises:
        InputError: it does not exist, cannot be read, or lacks a special piece.
    """
    path = Path(source)
    if not path.exists():
        if path.suffix in (".txt", ".json") or source.startswith((".", "/")) or source.count("/") > 1:
            raise InputError(f"{path}: no such file; expected a vocab.txt, a tokenizer.json, or a Hub id")
        path = fetch_model(source, _FILES)
    if path.is_dir():
        names = [name for name in _FILES if (path / name).is_file()]
        if not names:
            raise InputError(f"{path}: contains neither tokenizer.json nor vocab.txt")
        path = inside(path, names[0])
    text = read_text(path, LARGEST_TOKENIZER)
    if path.suffix == ".json":
        if lower_case is not None:
            raise InputError(f"{path}: tokenizer.json already sets lower-casing; remove --lower-case")
        with _errors_of_library(f"{path}: not a tokenizer.json that can be read"):
            tokenizer = Tokenizer.from_str(text)
        return WordTokenizer(tokenizer, str(path))
    vocab = _read_vocab(path, text)
    if lower_case is None:
        # Not isupper(): symbols such as ℝ are upper case and have no lower-case form.
        lower_case = all(piece == piece.lower() for piece in vocab if not re.fullmatch(r"\[.+\]", piece))
    return WordTokenizer(_word_piece(vocab, lower_case), str(path))


@contextmanager
def _errors_of_library(message: str) -> Iterator[None]:
    """Raise an InputError for an error of the tokenizers library.

    The library raises bare Exception; a panic in its Rust code derives from BaseException and has no public name.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise InputError(f"{message} ({first_line(error)})") from error
        raise


def _word_piece(vocab: dict[str, int], lower_case: bool) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(vocab, unk_token=UNK, max_input_chars_per_word=LONGEST_WORD, continuing_subword_prefix=_PREFIX)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=lower_case, lowercase=lower_case)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_PREFIX)
    return tokenizer


def _special(tokenizer: Tokenizer, name: str, where: str) -> int:
    for candidate in (name, _OTHER_NAMES[name]):
        number = tokenizer.token_to_id(candidate)
        if number is not None:
            return int(number)
    raise InputError(f"{where}: has no {name} piece (nor {_OTHER_NAMES[name]}); choose a tokenizer that has one")


def _read_vocab(path: Path, text: str) -> dict[str, int]:
    if not text.strip("\n"):
        raise InputError(f"{path}: empty; expected one piece per line")
    vocab: dict[str, int] = {}
    for number, piece in enumerate(text.removesuffix("\n").split("\n")):
        piece = piece.rstrip("\r")
        if piece in vocab:
            raise InputError(f"{path}:{number + 1}: piece {piece!r} already appears on line {vocab[piece] + 1}")
        vocab[piece] = number
    return vocab
