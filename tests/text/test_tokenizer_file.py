"""A ``tokenizer.json`` as the library ``tokenizers`` reads it."""

import json

import pytest

from hardening.fuzz.whole_tokenizers import tokenizers
from hybridner.errors import InputError
from hybridner.text.tokenizer import load_tokenizer

FAMILIES = [case for case in tokenizers(None) if "tokenizer.json" in case.files]


@pytest.fixture
def opened(tokenizer, tmp_path):
    """Open the tokenizer of the tests with other parts."""

    def opened(**parts):
        path = tmp_path / "tokenizer.json"
        value = json.loads(tokenizer.to_json())
        model = {**value["model"], **parts.pop("model", {})}
        path.write_text(json.dumps({**value, **parts, "model": model}))
        return load_tokenizer(str(path))

    return opened


@pytest.mark.parametrize("number", range(len(FAMILIES)))
def test_tokenizers_of_the_common_families_are_read(number, tmp_path):
    FAMILIES[number].write(tmp_path / "case")
    tokenizer = load_tokenizer(str(tmp_path / "case" / "tokenizer.json"))
    assert all(tokenizer.encode_sentences([["Anna", "met", "\u200b", "漢"]])[0])


def test_a_table_of_characters_that_makes_the_library_panic_is_one_line(opened):
    part = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    with pytest.raises(InputError, match=r"tokenizer.json: not a tokenizer.json that can be read \("):
        opened(normalizer=part).encode_sentences([["~"]])


def test_a_tokenizer_without_a_piece_for_unknown_words_says_so_when_one_comes(opened):
    tokenizer = opened(model={"type": "WordLevel", "unk_token": "none"})
    with pytest.raises(InputError, match="cannot cut words into pieces"):
        tokenizer.encode_sentences([["unheard"]])


def test_of_a_word_of_any_length_no_more_is_cut_than_a_model_has_room_for(opened):
    split = {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False}
    tokenizer = opened(pre_tokenizer=split, model={"max_input_chars_per_word": 1000})
    assert len(tokenizer.encode_sentences([["a" * 30_000]])[0][0]) == 10_000
