"""Whole tokenizers of the common families, to be damaged."""

import struct
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from hardening.fuzz.cases import Case
from hybridner.corpora.corpus import Sentence
from hybridner.text.tokenizer import WordTokenizer, train_tokenizer

_TEXT = ("Anna Tarkin met the mayor of Dorst .", "Tarkin ran")
_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def tiny_tokenizer() -> WordTokenizer:
    """A tokenizer of few pieces."""
    return train_tokenizer([Sentence(tuple(_TEXT[0].split()))], 60)


def tokenizers(_: Path) -> Iterator[Case]:
    """A vocabulary, and tokenizers as files."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdeAT", *(f"##{letter}" for letter in "abcdno"), "met"]
    yield Case("tokenizer", {"vocab.txt": "".join(f"{piece}\n" for piece in pieces).encode()})
    for tokenizer in (tiny_tokenizer().to_json(), *(make().to_str() for make in (_bytes, _pieces, _all_parts))):
        yield Case("tokenizer", {"tokenizer.json": tokenizer.encode()})


def character_table(character: str, text: str) -> bytes:
    """A table as SentencePiece has it (``hybridner.text.character_table``) that replaces one character of ASCII."""
    byte = ord(character)
    units = [0] * 256
    units[0] = 1 << 10  # its children begin at 0 ^ 1
    units[1 ^ byte] = byte | 1 << 8 | 2 << 10  # a leaf, at this place ^ 2
    units[1 ^ byte ^ 2] = 1 << 31  # the text at 0
    return struct.pack("<I256I", 4 * len(units), *units) + text.encode() + b"\0"


def _bytes() -> Tokenizer:
    """As in GPT-2 and RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=_SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(_TEXT, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def _pieces() -> Tokenizer:
    """As in XLM-R, ALBERT, DeBERTa and T5."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(character_table("~", "about")),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Replace("``", '"'),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=50, special_tokens=_SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer


def _all_parts() -> Tokenizer:
    """Words alone, and of the parts one of nearly each kind."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 3, "<s>": 0, "</s>": 2, "<pad>": 1, "anna": 4}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.BertNormalizer(),
            normalizers.NFC(),
            normalizers.Lowercase(),
            normalizers.Strip(),
            normalizers.Nmt(),
            normalizers.Prepend("x"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+|[0-9]{1,3}|\s+(?!\S)"), "isolated"),
            pre_tokenizers.Split("nn", "merged_with_next"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation("merged_with_previous"),
            pre_tokenizers.CharDelimiterSplit("-"),
            pre_tokenizers.UnicodeScripts(),
            pre_tokenizers.FixedLength(20),
            pre_tokenizers.ByteLevel(use_regex=False),
        ]
    )
    tokenizer.add_special_tokens(["<mask>"])
    return tokenizer
