import base64
import json

import pytest

from hardening.fuzz.whole_tokenizers import character_table, tokenizers
from hybridner.errors import InputError
from hybridner.text.character_table import longest_replacement
from hybridner.text.tokenizer import load_tokenizer

FAMILIES = [case for case in tokenizers(None) if "tokenizer.json" in case.files]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


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


@pytest.fixture
def refused(opened):
    def refused(**parts):
        with pytest.raises(InputError) as caught:
            opened(**parts)
        return str(caught.value)

    return refused


def split_at(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replacing(text, content, times=1):
    part = {"type": "Replace", "pattern": {"String": text}, "content": content}
    return {"type": "Sequence", "normalizers": [part] * times}


@pytest.mark.parametrize("number", range(len(FAMILIES)))
def test_tokenizers_of_the_common_families_are_read(number, tmp_path):
    FAMILIES[number].write(tmp_path / "case")
    tokenizer = load_tokenizer(str(tmp_path / "case" / "tokenizer.json"))
    assert all(tokenizer.encode_sentences([["Anna", "met", "\u200b", "漢"]])[0])


@pytest.mark.parametrize("pattern", [GPT2, " {2,}", r"\s+", r"[^\w\s]", r"\p{N}{1,3}", "a?b+c"])
def test_an_expression_whose_time_is_bounded_is_read(opened, pattern):
    assert opened(pre_tokenizer=split_at(pattern)).encode_sentences([["aaab"]])


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "a*a*b", "a?a?a?b", r"(a)\1", "a{1000}", "(?<=a)b", "a|" * 200]
)
def test_an_expression_that_could_take_any_time_is_refused(refused, pattern):
    assert "could take any time" in refused(pre_tokenizer=split_at(pattern))
    assert "could take any time" in refused(decoder={"type": "Sequence", "decoders": [split_at(pattern)]})


def test_normalizers_that_make_a_word_grow_without_end_are_refused(opened, refused):
    assert opened(normalizer=replacing("…", "...", 3)).encode_sentences([["…"]])
    assert "times as long" in refused(normalizer=replacing("a", "aa", 40))
    assert "at most 64" in refused(normalizer=replacing("a", "b", 65))


@pytest.mark.parametrize(
    "pattern", [{"String": ""}, {"Regex": ""}, {"Regex": "a*"}, {"Regex": "b|^"}, {"Regex": "(?!a)"}, {}]
)
def test_a_replacement_of_nothing_is_refused(refused, pattern):
    assert "replaces nothing" in refused(normalizer={"type": "Replace", "pattern": pattern, "content": "x"})


def test_a_part_that_the_library_would_take_for_another_is_refused(refused):
    part = {"pattern": {"String": "a"}, "content": "aa"}
    assert "'type'" in refused(normalizer=part)
    assert "no known normalizer" in refused(normalizer={**part, "type": "Substitute"})
    assert "no known pre_tokenizer" in refused(pre_tokenizer={**part, "type": "Replace"})
    assert "0 characters" in refused(pre_tokenizer={"type": "FixedLength", "length": 0})


def test_a_piece_whose_number_would_take_gigabytes_is_refused(refused):
    assert "has the number 4000000000" in refused(model={"vocab": {"[UNK]": 4_000_000_000}})
    assert "has the number -1" in refused(added_tokens=[{"id": -1, "content": "x"}])
    assert "1,001 characters" in refused(model={"vocab": {"a" * 1001: 0}})
    assert "max_input_chars_per_word" in refused(model={"max_input_chars_per_word": 10**6})


def test_a_tokenizer_without_a_piece_for_unknown_words_says_so_when_one_comes(opened):
    tokenizer = opened(model={"type": "WordLevel", "unk_token": "none"})
    with pytest.raises(InputError, match="cannot cut words into pieces"):
        tokenizer.encode_sentences([["unheard"]])


def test_of_a_word_of_any_length_no_more_is_cut_than_a_model_has_room_for(opened):
    tokenizer = opened(pre_tokenizer=split_at("a"), model={"max_input_chars_per_word": 1000})
    assert len(tokenizer.encode_sentences([["a" * 30_000]])[0][0]) == 10_000


def test_a_table_of_characters_is_followed_as_the_library_follows_it(opened):
    table = character_table("~", "met")
    assert longest_replacement(table) == 3
    part = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    one, other = opened(normalizer=part).encode_sentences([["~", "met"]])[0]
    assert one == other


@pytest.mark.parametrize(
    "place", [4, 4 + 4 * (1 ^ ord("~")), 4 + 4 * (1 ^ ord("~") ^ 2)], ids=["root", "child", "leaf"]
)
def test_a_table_of_characters_that_leads_out_of_itself_is_refused(place):
    table = bytearray(character_table("~", "met"))
    table[place : place + 4] = (int.from_bytes(table[place : place + 4], "little") | 1 << 20).to_bytes(4, "little")
    with pytest.raises(ValueError, match="damaged"):
        longest_replacement(bytes(table))


@pytest.mark.parametrize(
    "table",
    [b"\0", b"\0\0\0\0a\0", character_table("~", "a")[:-1], character_table("~", "é")[:-2] + b"\0"],
    ids=["short", "without units", "without its end", "not UTF-8"],
)
def test_a_table_of_characters_that_is_cut_is_refused(table):
    with pytest.raises(ValueError, match=r"damaged|codec"):
        longest_replacement(table)
