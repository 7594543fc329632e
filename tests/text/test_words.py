import itertools
import os
import re
import time
from pathlib import Path

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hybridner.errors import InputError
from hybridner.text.words import join_words, split_sentences, split_text, split_words

BLANK = regex.compile(r"[\s\p{Cc}\p{Bidi_Control}\u200b\ufeff]")
ODD = st.text(
    st.sampled_from(
        "abIZnt s'’.,-:/@&*=+$%\"()[]<>03٣日のไाé\u0301\u00ad\u200d\u200c\u200b\ufeff\u200f"
        "\r\n\t\x00\x1c\x85\xa0\u2028\u2029\u3000👩🏽🇩🇪\ud83d\udc00°।。？"
    ),
    max_size=60,
)
ANY = st.one_of(ODD, st.text(max_size=60), st.text(st.characters(categories=None), max_size=60))


def texts(sentence):
    return [word.text for word in split_words(sentence)]


@given(ANY, st.integers(0, 100))
@settings(deadline=None)
def test_words_are_the_text_they_point_at_and_leave_out_blanks_only(text, offset):
    left = list(text)
    last = 0
    for word, start, end in split_words(text, offset):
        start, end = start - offset, end - offset
        assert last <= start < end
        assert text[start:end] == word
        left[start:end] = " " * (end - start)
        last = end
    assert all(BLANK.fullmatch(character) for character in left)


@given(ANY, st.sampled_from(["auto", "line", "none"]))
@example(" Z\xa0.»a", "auto")
@example("St. Z\u2028.—<…", "auto")
@example("a\ud800b. C. 日本。", "auto")
@settings(deadline=None)
def test_sentences_are_in_order_and_leave_out_blanks_only(text, mode):
    left = list(text)
    last = 0
    for start, end in split_sentences(text, mode):
        assert last <= start < end
        assert not BLANK.fullmatch(text[start])
        assert not BLANK.fullmatch(text[end - 1])
        left[start:end] = " " * (end - start)
        last = end
    assert all(BLANK.fullmatch(character) for character in left)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ('Punctuation, apart: (yes) [no]; "so"!', 'Punctuation , apart : ( yes ) [ no ] ; " so " !'),
        ("Germany's players' coach doesn't.", "Germany 's players ' coach does n't ."),
        ("It’s O’Neil; I'd, WE'LL, shouldn't've", "It ’s O’Neil ; I 'd , WE 'LL , should n't 've"),
        ("Gov't of Nuku'alofa d'Outre-Mer", "Gov't of Nuku'alofa d'Outre-Mer"),
        ("German-born, U.S.-led Inzamam-ul-Haq", "German-born , U.S.-led Inzamam-ul-Haq"),
        ("He left the U.S. and the U.N. at 5 p.m.", "He left the U.S. and the U.N. at 5 p.m."),
        ("He left the U.S.", "He left the U.S."),
        ("J. Smith, J.K. Rowling and J.-P. Roux", "J. Smith , J.K. Rowling and J.-P. Roux"),
        ("Mr. Day vs. St. Louis Inc. of Apple Inc.", "Mr. Day vs. St. Louis Inc. of Apple Inc ."),
        ("Vitamin C. (No. 1) No.", "Vitamin C. ( No. 1 ) No ."),
        ("(It was plan B.)", "( It was plan B . )"),
        ("1,000 22-7 3.5 .500 1/2 4-1/2 +31 2:29.34", "1,000 22-7 3.5 .500 1/2 4-1/2 +31 2:29.34"),
        ("On 1996-08-22, 1996/97 in 1996.", "On 1996-08-22 , 1996/97 in 1996 ."),
        ("3.5% of $17,000, US$2.5, C$5, £1, €3", "3.5 % of $ 17,000 , US$ 2.5 , C$ 5 , £ 1 , € 3"),
        ("2. Michael Johnson in 2.", "2. Michael Johnson in 2 ."),
        ("Wait... -- no --- a--b", "Wait ... -- no --- a -- b"),
        ("S&P, AT&T's; and/or", "S&P , AT&T 's ; and / or"),
        ("Mail a.b-c@reuters.com, now.", "Mail a.b-c@reuters.com , now ."),
        ("See https://x.org/a_(b)?c=1. Or (www.x.net/d/).", "See https://x.org/a_(b)?c=1 . Or ( www.x.net/d/ ) ."),
        ("amazon.com's rival bbc.co.uk:80/x ended.Next", "amazon.com 's rival bbc.co.uk:80/x ended . Next"),
    ],
)
def test_words_are_cut_as_in_conll_2003(sentence, words):
    assert texts(sentence) == words.split(" ")


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("e\u0301te\u0301 नमस्ते।", ["e\u0301te\u0301", "नमस्ते", "।"]),
        ("👩‍👩‍👧🇩🇪👍🏽1️⃣", ["👩‍👩‍👧", "🇩🇪", "👍🏽", "1️⃣"]),
        ('צה"ל, שלום. مرحبا؟', ['צה"ל', ",", "שלום", ".", "مرحبا", "؟"]),
        ("日本。 ไม่", ["日", "本", "。", "ไ", "ม่"]),
        ("a\r\nb\u200bc\ufeffd\x00e\u200ef", ["a", "b", "c", "d", "e", "f"]),
        ("\ud800 x", ["\ud800", "x"]),
        ("\ufeff \u200b\r\n", []),
        ("", []),
    ],
)
def test_words_of_any_script(sentence, words):
    assert texts(sentence) == words


@pytest.mark.parametrize(
    ("mode", "sentences"),
    [
        ("auto", ["Mr. Fox met\r\nJ. Day.", "He left the U.S. today.", "Title", "日本。", "Ok?"]),
        ("line", ["Mr. Fox met", "J. Day. He left the U.S. today.", "Title", "日本。Ok?"]),
        ("none", ["Mr. Fox met\r\nJ. Day. He left the U.S. today.\r\n \r\nTitle\n\n日本。Ok?"]),
    ],
)
def test_sentences_by_mode(mode, sentences):
    text = "\ufeffMr. Fox met\r\nJ. Day. He left the U.S. today.\r\n \r\nTitle\n\n日本。Ok?\n"
    assert [text[start:end] for start, end in split_sentences(text, mode)] == sentences


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_a_blank_line_ends_a_sentence(line_end):
    text = f"Dr.{line_end}no{line_end} \t{line_end}Mr."
    assert [text[s:e] for s, e in split_sentences(text)] == [f"Dr.{line_end}no", "Mr."]


@pytest.mark.parametrize("mode", ["auto", "line", "none"])
def test_blank_text_has_no_sentence(mode):
    assert split_sentences("", mode) == split_sentences(" \r\n\t\n\ufeff", mode) == []


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="unknown sentence mode 'lines'; there are auto, line, none"):
        split_sentences("a", "lines")


def test_a_long_paragraph_is_cut_like_a_short_one():
    sentence = "Mr. Fox left the U.S. in 1996, said J. Day. "
    spans = split_sentences(sentence * 500)
    assert spans == [(i * len(sentence), (i + 1) * len(sentence) - 1) for i in range(500)]


def test_a_sentence_is_whole_however_long_it_is():
    sentence = "word " * 3000 + "end."
    text = f"A start. {sentence} {sentence} An end."
    assert [text[s:e] for s, e in split_sentences(text)] == ["A start.", sentence, sentence, "An end."]


@pytest.mark.parametrize(
    "unit",
    [
        *(".", "'", "-", "a", "1", "日", "日。", " ", "\n", "\r\n", "\x00", "\ud800", "\u0301", "\u200d", "🇩"),
        *("a.", "aa.", "a-", "a'", "a's", "n't", "A.)", "Mr.", "1.", "a@", "a@b.", "www.", "http://.", "&", '"'),
        *("“a", "«A. ", "A. "),
    ],
)
def test_200_000_characters_take_seconds_at_most(unit):
    text = (unit * 200_000)[:200_000]
    start = time.perf_counter()
    split_words(text)
    split_sentences(text)
    assert time.perf_counter() - start < 20


def test_a_text_is_split_into_the_words_of_its_sentences():
    text = "Mr. Fox met J. Day.\n\n \u200b\n\nOk?"
    found = split_text(text)
    assert found.text == text
    assert [[word.text for word in words] for words in found.sentences] == [
        ["Mr.", "Fox", "met", "J.", "Day", "."],
        ["Ok", "?"],
    ]
    assert all(text[word.start : word.end] == word.text for words in found.sentences for word in words)
    assert split_text("\ufeff") == ("\ufeff", [])


@given(st.lists(st.text(max_size=5), max_size=5))
def test_words_that_are_joined_stand_where_they_say(words):
    text, sentences = join_words(words)
    assert [word.text for sentence in sentences for word in sentence] == words
    assert all(text[word.start : word.end] == word.text for sentence in sentences for word in sentence)


def shared(*parts):
    if "HYBRIDNER_SHARED_DATA" not in os.environ:
        pytest.skip("HYBRIDNER_SHARED_DATA, the folder of the corpora, is not set")
    return Path(os.environ["HYBRIDNER_SHARED_DATA"]).joinpath(*parts).read_text("utf-8")


def as_text(words):
    """Join words as in printed text: no space before closing or after opening punctuation."""
    text, glued, quoted = "", True, False
    for word in words:
        closes = re.fullmatch(r"[.,;:!?%)\]}]|\.\.\.|'(?:s|re|ve|ll|d|m)?|n't", word, re.IGNORECASE)
        text += word if glued or closes or (word == '"' and quoted) else f" {word}"
        quoted ^= word == '"'
        glued = word in ("(", "[", "{", "$", "`", "``") or (word == '"' and quoted)
    return text


def ends(words):
    """Return the words' ends, counted in non-blank characters."""
    return set(itertools.accumulate(len(word.replace(" ", "")) for word in words))


@pytest.mark.parametrize(
    ("parts", "separator", "least"),
    [(("conll2003", "train.txt"), " ", 0.999), (("wikigold", "all.txt"), "\t", 0.995)],
)
def test_the_words_of_a_corpus_are_found_again_in_its_text(parts, separator, least):
    words = found = 0
    for block in re.sub(r"-DOCSTART-.*", "", shared(*parts)).split("\n\n"):
        sentence = [line.split(separator)[0] for line in block.split("\n") if line]
        whole = itertools.pairwise([0, *sorted(ends(sentence))])
        cut = set(itertools.pairwise([0, *sorted(ends(texts(as_text(sentence))))]))
        spans = list(whole)
        words += len(spans)
        found += sum(span in cut for span in spans)
    assert words > 39_000
    assert found / words > least


def test_words_of_conll_2003_are_words_here():
    lines = shared("conll2003", "train.txt").split("\n")
    words = [line.split(" ")[0] for line in lines if line and not line.startswith("-DOCSTART-")]
    assert len(words) == 203_621
    assert sum(len(split_words(word)) == 1 for word in words) / len(words) > 0.997
