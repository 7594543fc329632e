"""Raw text cut into sentences and words, with offsets: ``text[start:end]`` is the word, on any Unicode.

Words follow CoNLL-2003. Every character that is not blank belongs to exactly one word and one sentence; blank are
white space, control characters, bidirectional controls, the zero-width space and the byte order mark. Time is linear
in the length of any text.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

import regex

from hybridner.errors import InputError

SentenceMode = Literal["auto", "line", "none"]


class Word(NamedTuple):
    """A word, ``text[start:end]`` of the text it was cut from."""

    text: str
    start: int
    end: int


class SplitText(NamedTuple):
    """A text and the words of each of its sentences, none of which is empty."""

    text: str
    sentences: list[list[Word]]


_BLANK = r"[\s\p{Cc}\p{Bidi_Control}\u200b\ufeff]"
_INK = r"[^\s\p{Cc}\p{Bidi_Control}\u200b\ufeff]"
# Scripts without spaces between words: each character is a word.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_LETTER = rf"[\p{{L}}--{_UNSPACED}]"
_ALNUM = rf"[[\p{{L}}\p{{N}}\p{{Pc}}]--{_UNSPACED}]"
# Marks, soft hyphen, zero-width joiners, which belong to the character before them.
_EXTEND = r"[\p{M}\u00ad\u200c\u200d]"
_INSIDE = rf"[{_ALNUM}{_EXTEND}]"
_NOT_AT_END = rf"(?!\.)(?!(?:{_BLANK}|[\p{{Pe}}\p{{Pf}}\"'])*+\Z)"
_TITLES = (
    "Adm|Aug|Ave|Bros|Calif|Capt|Co|Col|Conn|Corp|Cpl|Dec|Dept|Dr|Feb|Fla|Ft|Gen|Gov|Hon|Inc|Jan|Jr|Jul|Jun|"
    "Lt|Ltd|Maj|Mar|Mass|Messrs|Mr|Mrs|Ms|Mt|Nov|Oct|Prof|Rep|Rev|Sen|Sep|Sept|Sgt|Sr|St|Ste|approx|etc|vol|vs"
)

_ACRONYM = rf"{_LETTER}\p{{M}}*+(?:\.{_LETTER}\p{{M}}*+)+(?!{_INSIDE})\.?"
_ABBREVIATION = rf"(?:{_TITLES}|No(?=\.\s?\p{{Nd}})|\p{{Lu}}\p{{M}}*+)\.{_NOT_AT_END}"
_PIECE = rf"(?:{_ACRONYM}|{_ABBREVIATION}|{_ALNUM}{_INSIDE}*+)"
_JOINER = (
    rf"(?:[-‐‑](?={_ALNUM})"
    r"|(?<=\p{N}\p{M}?)[.,:/٫٬](?=\p{N})"
    rf"|(?<={_INSIDE})['’&·״׳](?={_LETTER})"
    r'|(?<=\p{Hebrew})"(?=\p{Hebrew}))'
)
# A full stop, comma or bracket at the end belongs to the sentence, not to the address.
_REST_OF_URL = rf"[{_INK}--[<>\"]]*[{_INK}--[\p{{P}}<>--[/_%&\#]]]"
_HOST_LABEL = r"[\p{L}\p{N}-]{1,63}+"
_HOST = (
    rf"(?:{_HOST_LABEL}\.){{1,8}}"
    rf"(?:(?:com|org|net|edu|gov|info|biz)(?:\.[a-z]{{2}})?|(?:co|ac)\.[a-z]{{2}})(?![{_INSIDE}-])"
)
_WORDS = regex.compile(
    rf"""
      [A-Za-z0-9]++(?=[ ])                                              # most words, for speed
    | \A\p{{Nd}}{{1,2}}\.(?={_BLANK}|\Z)                                  # "2." opens an item of a list
    | (?i:https?://|ftp://|www\.){_REST_OF_URL}
    | [\p{{L}}\p{{N}}._%+-]{{1,64}}+@{_HOST_LABEL}(?:\.{_HOST_LABEL}){{1,8}}
    | {_HOST}(?:[:/]{_REST_OF_URL})?
    | \.{{2,}}+ | -{{2,}}+ | \*{{2,}}+ | ={{2,}}+
    | \p{{Lu}}{{1,3}}+(?=\p{{Sc}})\p{{Sc}}                              # US$, C$
    | (?i:['’](?:s|m|d|re|ve|ll))(?!{_INSIDE})
    | (?P<word>(?:\+(?=\p{{N}})|(?<!{_INSIDE})\.(?=\p{{N}}))?{_PIECE}(?:{_JOINER}{_PIECE})*+)
    | (?:\p{{RI}}{{2}}|{_INK})                                          # a symbol, with what modifies it
      (?:{_EXTEND}|[\U0001F3FB-\U0001F3FF\U000E0020-\U000E007F]|(?<=\u200d)\p{{Extended_Pictographic}})*+
    """,
    regex.VERBOSE | regex.VERSION1,
)
_CLITIC = regex.compile(r"(?:n['’]t|['’](?:s|m|d|re|ve|ll))\Z", regex.IGNORECASE)  # at most 3 characters

_NEWLINE = r"(?>\r\n|[\n\r\v\f\x85\u2028\u2029])"
_PARAGRAPH_BREAK = regex.compile(rf"{_NEWLINE}{_BLANK}*{_NEWLINE}|\u2029")
_LINE_BREAK = regex.compile(_NEWLINE)
_TRIMMED = regex.compile(rf"{_INK}(?:.*{_INK})?", regex.DOTALL)
# sentencex 1.0.32 rejects lone surrogates, panics on a space of several bytes after an initial, and misses an
# abbreviation after a byte order mark.
_SURROGATE = regex.compile(r"\p{Cs}")
_RARE_BLANK = regex.compile(rf"[{_BLANK}--\n]", regex.VERSION1)
# sentencex needs quadratic time, and joins everything after a stray quotation mark: pass it chunks of this size.
_CHUNK = 2048


def split_words(text: str, offset: int = 0) -> list[Word]:
    """Cut a sentence, any string, into words as CoNLL-2003 does, in order; ``offset`` is added to all offsets.

    Each punctuation mark, currency sign, percent sign and English clitic is a word ("Germany's" → "Germany", "'s";
    "don't" → "do", "n't"). So is each of these: a compound with hyphens ("German-born", "U.S.-led"), a number, score or
    date ("1,000", "22-7", "1996-08-22", "1/2", "+31"), a name with an inner apostrophe or ampersand ("O'Brien", "S&P"),
    an acronym with its last full stop ("U.S."), an initial or common abbreviation that does not end the sentence ("St."
    in "St. Louis"), an address (URL, host, e-mail), a run of full stops, hyphens, asterisks or equals signs, and an
    emoji sequence. Where a script puts no space between words (Han, Kana, Thai, Lao, Khmer, Myanmar), each character
    with its marks is a word. Blank text has no word.
    """
    words: list[Word] = []
    for match in _WORDS.finditer(text):
        start, end = match.span()
        cuts = [end]
        if match["word"] and ("'" in match["word"] or "’" in match["word"]):
            while clitic := _CLITIC.search(text, max(start + 1, cuts[-1] - 3), cuts[-1]):
                cuts.append(clitic.start())
        for cut in reversed(cuts):
            words.append(Word(text[start:cut], offset + start, offset + cut))
            start = cut
    return words


def split_sentences(text: str, mode: SentenceMode = "auto") -> list[tuple[int, int]]:
    """Find the ``(start, end)`` of each sentence, in characters, end exclusive, in order and without overlap.

    A sentence starts and ends with a character that is not blank; only blank ones lie between sentences.

    Args:
        text: any string, with any of Unicode's line ends.
        mode: "auto" ends a sentence at a blank line and where the library ``sentencex`` finds an end; "line" makes
            each line a sentence, "none" the whole text.

    Raises:
        InputError: a mode that does not exist.
    """
    if mode not in get_args(SentenceMode):
        raise InputError(f"unknown sentence mode {mode!r}; there are {', '.join(get_args(SentenceMode))}")
    spans: Iterable[tuple[int, int]] = [(0, len(text))]
    if mode != "none":
        spans = _sentences(text) if mode == "auto" else _between(_LINE_BREAK, text)
    trimmed = (_TRIMMED.search(text, start, end) for start, end in spans)
    return [match.span() for match in trimmed if match]


def split_text(text: str, mode: SentenceMode = "auto") -> SplitText:
    """Cut a text into sentences and words; blank text has none.

    Raises:
        InputError: a mode that does not exist.
    """
    sentences = (split_words(text[start:end], start) for start, end in split_sentences(text, mode))
    return SplitText(text, [words for words in sentences if words])


def join_words(words: Sequence[str]) -> SplitText:
    """Build a text of one sentence by joining its words with spaces."""
    ends = accumulate(len(word) + 1 for word in words)
    joined = [Word(word, end - len(word) - 1, end - 1) for word, end in zip(words, ends, strict=True)]
    return SplitText(" ".join(words), [joined] if joined else [])


def _between(separator: "regex.Pattern[str]", text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in separator.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    from sentencex import get_sentence_boundaries

    plain = _RARE_BLANK.sub(" ", _SURROGATE.sub("\ufffd", text))
    for start, stop in _between(_PARAGRAPH_BREAK, text):
        at = start
        while at < stop:
            chunk_stop = min(stop, at + _CHUNK)
            found = get_sentence_boundaries("en", plain[at:chunk_stop])
            ends = [end for boundary in found if (end := at + boundary["end_index"]) < chunk_stop]
            if chunk_stop == stop:
                ends.append(stop)
            # The chunk may cut its last sentence: the next chunk starts with it, unless it fills this one.
            at = ends[-1] if ends else chunk_stop
            for end in ends:
                yield start, end
                start = end
