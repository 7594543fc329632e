"""``tokenizer.json`` as the library ``tokenizers`` reads it."""

import json

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from hybridner.errors import InputError
from hybridner.text.tokenizer import load_tokenizer

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture
def opened(tokenizer, tmp_path):
    """Open the tests' tokenizer with other parts."""

    def opened(**parts):
        path = tmp_path / "tokenizer.json"
        value = json.loads(tokenizer.to_json())
        model = {**value["model"], **parts.pop("model", {})}
        path.write_text(json.dumps({**value, **parts, "model": model}))
        return load_tokenizer(str(path))

    return opened


def byte_level():
    """Make parts like those of GPT-2 and RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer, trainers.BpeTrainer(vocab_size=80, special_tokens=SPECIALS, show_progress=False)


def unigram():
    """Make parts like those of XLM-R, ALBERT, DeBERTa and T5."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=50, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False)
    return tokenizer, trainer


@pytest.mark.parametrize("family", [byte_level, unigram])
def test_tokenizers_of_other_families_are_read(family, tmp_path):
    tokenizer, trainer = family()
    tokenizer.train_from_iterator(["Anna Tarkin met the mayor of Dorst ."], trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    opened = load_tokenizer(str(tmp_path / "tokenizer.json"))
    assert [opened.cls_id, opened.pad_id, opened.sep_id, opened.unk_id] == [0, 1, 2, 3]
    assert all(opened.encode_sentences([["Anna", "met", "\u200b", "漢"]])[0])


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
