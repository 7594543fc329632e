"""Words as numbers: any word has a shape, affixes and characters, and what is saved reads back the same."""

import pytest

from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.text.vocabulary import (
    AFFIXES,
    FIRST_AFFIX,
    FIRST_CHARACTER,
    PAD,
    SHAPE,
    UNKNOWN,
    WORD,
    load_saved,
    shape_of,
    train_vocabulary,
)

SENTENCES = [Sentence(("In", "2019", "Ann", "met", "ann", "."), ("O",) * 6), Sentence(("met", "met"), ("O",) * 2)]
VOCABULARY = train_vocabulary(SENTENCES, vocab_size=100)


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("Merkel", "Xxx"),
        ("USA", "XX"),
        ("U.S.", "X.X."),
        ("12-05-1999", "dd-dd-dd"),
        ("東京", "oo"),
        ("ß", "x"),
        ("e\u0301", "x\u0301"),
        ("", ""),
        ("a" * 10_000, "xx"),
    ],
)
def test_a_shape_has_a_letter_for_each_kind_and_runs_of_two_at_most(word, shape):
    assert shape_of(word) == shape


def test_words_are_known_without_case_and_with_any_digits():
    known = {word: VOCABULARY.features(word)[WORD] for word in ("Ann", "ANN", "ann", "2019", "1984", "Bob")}
    assert known["Ann"] == known["ANN"] == known["ann"] > UNKNOWN
    assert known["2019"] == known["1984"] > UNKNOWN
    assert known["Bob"] == UNKNOWN


def test_the_most_frequent_words_are_kept():
    assert list(train_vocabulary(SENTENCES, vocab_size=2).counts.items()) == [("met", 3), ("ann", 2)]


def test_a_frequent_word_is_rarely_taken_for_unknown_and_an_unknown_one_is_that_already():
    assert [VOCABULARY.drop_probability(word) for word in ("met", "Ann", "in", "Bob")] == [1 / 4, 1 / 3, 1 / 2, 0]


@pytest.mark.parametrize("word", ["Bob", "", "\ud800", "\U0001f600", "a" * 10_000, "\u0627\u0644", "x\ty"])
def test_any_word_has_features_within_the_tables(word):
    read, found = VOCABULARY.model_input(64), VOCABULARY.features(word)
    assert len(found) == FIRST_CHARACTER + read.max_characters
    assert 0 < found[WORD] < read.num_words
    assert 0 < found[SHAPE] < read.num_shapes
    for slot, affix in enumerate(found[FIRST_AFFIX:FIRST_CHARACTER]):
        assert slot * read.affix_rows <= affix < (slot + 1) * read.affix_rows
    characters = found[FIRST_CHARACTER:]
    assert all(0 < number < read.num_characters for number in characters[: len(word)])
    assert characters[len(word) :] == [PAD] * (read.max_characters - len(word))


def test_characters_beyond_the_limit_do_not_count():
    limit = VOCABULARY.max_characters
    word = "ann" * 20
    assert VOCABULARY.features(word[:limit] + "X")[FIRST_CHARACTER:] == VOCABULARY.features(word)[FIRST_CHARACTER:]


def test_words_with_one_affix_share_its_row_alone():
    a, b = (VOCABULARY.features(word)[FIRST_AFFIX:FIRST_CHARACTER] for word in ("Berlin", "Dublin"))
    assert [x == y for x, y in zip(a, b, strict=True)] == [
        part in (slice(-1, None), slice(-2, None), slice(-3, None)) for part in AFFIXES
    ]


def test_a_saved_vocabulary_reads_back_the_same(tmp_path):
    VOCABULARY.save(tmp_path / "tokenizer.json")
    opened = load_saved(tmp_path / "tokenizer.json")
    assert opened.to_json() == VOCABULARY.to_json()
    assert opened.features("Ann") == VOCABULARY.features("Ann")
    assert opened.model_input(64) == VOCABULARY.model_input(64)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"words": {', '"words": [{', "damaged vocabulary of words"),
        ('"met": 3', '"met": 0', "'words' is not an object of words and their counts"),
        ('"met": 3', '"met": "3"', "'words' is not an object"),
        ('"affix_rows": 4096', '"affix_rows": -1', "'affix_rows' and 'max_characters' are not"),
        ('"shapes"', '"forms"', "damaged vocabulary of words"),
        ('"Xx"', "3", "'shapes' and 'characters' are not lists of strings"),
    ],
)
def test_a_damaged_vocabulary_is_refused_by_name(tmp_path, old, new, message):
    path = tmp_path / "tokenizer.json"
    text = VOCABULARY.to_json()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message):
        load_saved(path)
