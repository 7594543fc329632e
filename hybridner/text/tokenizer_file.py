"""A ``tokenizer.json``, looked through before the library ``tokenizers`` makes anything of it.

A stranger may have written it, and the library trusts what it reads: a piece with the number 4,000,000,000 takes 16 GB,
a few normalizers one after the other write a letter as a billion, a regular expression takes years or ends in a panic,
and so does a damaged table of characters. Nothing that the tokenizers of the BERT, RoBERTa, XLM-R, ALBERT, DeBERTa, T5
and GPT-2 families hold is refused.
"""

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import regex
from tokenizers import Tokenizer

from hybridner.errors import InputError
from hybridner.files.reading import LARGEST_TOKENIZER, read_text
from hybridner.text.character_table import longest_replacement

_LARGEST_ID = 2**23  # the largest vocabularies in use have a million pieces
_LONGEST_PIECE, _LONGEST_TEXT = 1000, 100  # characters of a piece, and of a prefix and the like
_LONGEST_PATTERN = 300
_MOST_PARTS = 64
_UNUSED = ("post_processor", "decoder")  # read, and never asked for anything

# The parts that there are, by what they stand in; of another "type" the library makes what has the same fields. How
# many times as many characters each may make of a word, 0 where that depends, and all together: ALBERT's make 1,296.
_PARTS = {
    "normalizer": {
        "BertNormalizer": 6, "ByteLevel": 5, "Lowercase": 2, "NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Nmt": 1,
        "Precompiled": 0, "Prepend": 0, "Replace": 0, "Strip": 1, "StripAccents": 1,
    },
    "pre_tokenizer": {
        "BertPreTokenizer": 1, "ByteLevel": 5, "CharDelimiterSplit": 1, "Digits": 1, "FixedLength": 1, "Metaspace": 2,
        "Punctuation": 1, "Split": 1, "UnicodeScripts": 1, "Whitespace": 1, "WhitespaceSplit": 1,
    },
}  # fmt: skip
_MOST_GROWTH = 10_000

# An atom matches one character, or looks at the next one. In an alternative, the first may be missing and one may
# repeat: so the time for a word grows with its square at most. All is possessive: so does the time to see that.
_ESCAPE = r"\\(?:[^\w]|[dDwWsSnrtfv]|p\{\^?\w++\})"
_ATOM = rf"(?:{_ESCAPE}|\[\^?(?:{_ESCAPE}|[^\\\[\]&])++\]|\(\?[!=](?:{_ESCAPE}|\w)\)|[^\\\[\](){{}}*+?|^$])"
_ONCE = rf"(?:{_ATOM}(?:\{{\d\d?\}})?+(?![+*?{{]))*+"
_REPEATED = rf"{_ATOM}(?:[+*]|\{{\d\d?,\d?\d?\}})(?![+*?{{])"
_ALTERNATIVE = rf"\^?+(?:{_ATOM}\?(?![+?]))?+{_ONCE}(?:{_REPEATED}{_ONCE})?+\$?+"
_PATTERN = re.compile(rf"{_ALTERNATIVE}(?:\|{_ALTERNATIVE})*+")


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a ``tokenizer.json``.

    Raises:
        InputError: it cannot be read, or a part of it, which the message names, could take any time or memory.
    """
    text = read_text(path, LARGEST_TOKENIZER)
    try:
        value = json.loads(text, object_pairs_hook=_object)
        if not isinstance(value, dict):
            raise ValueError("expected a JSON object")
        _check_model(value.get("model"))
        for token in value.get("added_tokens") or ():
            _check_id(token["id"])
        _check_patterns([value.get(name) for name in (*_PARTS, *_UNUSED)])
        growths = [_growth(part, name) for name in _PARTS for part in _parts(value.get(name))]
        if len(growths) > _MOST_PARTS:
            raise ValueError(f"{len(growths)} normalizers and the like; at most {_MOST_PARTS} are read")
        if math.prod(growths) > _MOST_GROWTH:
            raise ValueError(f"its normalizers could make a word {_MOST_GROWTH:,} times as long")
        return Tokenizer.from_str(text)
    except Exception as error:  # the tokenizers package raises bare Exception
        raise InputError(f"{path}: not a tokenizer.json that can be read ({error})") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):  # which of them the library takes is its own affair
        raise ValueError("a key stands twice in an object")
    return value


def _check_model(model: Any) -> None:
    vocab = model["vocab"]
    for number in vocab.values() if isinstance(vocab, dict) else ():
        _check_id(number)
    for piece in vocab if isinstance(vocab, dict) else (entry[0] for entry in vocab):
        if len(piece) > _LONGEST_PIECE:
            raise ValueError(
                f"piece {piece[:20]!r}… has {len(piece):,} characters; at most {_LONGEST_PIECE:,} are read"
            )
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in model.get("merges") or ():
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        if not second.startswith(prefix) or first + second[len(prefix) :] not in vocab:
            raise ValueError(
                f"pieces {first!r:.40} and {second!r:.40} are joined to one that the vocabulary does not have"
            )
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
        if len(model.get(name) or "") > _LONGEST_TEXT:
            raise ValueError(f"{name!r} is longer than {_LONGEST_TEXT} characters")
    if model.get("max_input_chars_per_word", 0) > _LONGEST_PIECE:
        raise ValueError(f"'max_input_chars_per_word' is above {_LONGEST_PIECE:,}")


def _check_id(number: Any) -> None:
    if type(number) is not int or not 0 <= number < _LARGEST_ID:
        raise ValueError(f"a piece has the number {number!r:.40}; expected whole numbers from 0 to {_LARGEST_ID - 1:,}")


def _check_patterns(value: Any) -> None:
    """Check the regular expressions anywhere in ``value``."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_patterns(item)
    if isinstance(value, dict) and "Regex" in value:
        pattern = value["Regex"]
        if len(pattern) > _LONGEST_PATTERN or not _PATTERN.fullmatch(pattern):
            raise ValueError(
                f"the regular expression {pattern!r:.80} could take any time; only characters and classes may stand in "
                "it, and in each alternative one +, * or {m,n}"
            )


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Each part that is no sequence of others."""
    if value is None:
        return
    if value["type"] == "Sequence":
        for part in value["normalizers"] if "normalizers" in value else value["pretokenizers"]:
            yield from _parts(part)
    else:
        yield value


def _growth(part: dict[str, Any], place: str) -> float:
    """How many times as many characters a part may make of a word at most.

    Raises:
        ValueError: it is not known, or one on which the library panics.
    """
    kind = part["type"]
    if kind not in _PARTS[place]:
        raise ValueError(f"{kind!r:.40} is no known {place}")
    if kind == "FixedLength" and part["length"] == 0:
        raise ValueError("FixedLength cuts words into parts of 0 characters")
    if kind == "Prepend":
        if not part["prepend"]:  # with which the library panics
            raise ValueError("a Prepend of nothing")
        return 1 + len(part["prepend"])
    if kind == "Precompiled":
        table = b64decode(part["precompiled_charsmap"])
        if b64encode(table).decode() != part["precompiled_charsmap"]:  # one way of writing it is taken, others panic
            raise ValueError("a table of characters that is not in Base64")
        return longest_replacement(table)
    if kind == "Replace":
        text, pattern = part["pattern"].get("String"), part["pattern"].get("Regex", "")
        if not text and ("(" in pattern or regex.search(pattern, "")):
            raise ValueError(f"Replace, of {pattern!r:.40}, replaces nothing by {part['content']!r:.40}")
        return max(1, len(part["content"]) / len(text or "1"))
    return _PARTS[place][kind]
