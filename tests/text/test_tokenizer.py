import json
import os
import subprocess
import sys

import pytest

from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.text.tokenizer import load_tokenizer, train_tokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["vel", "##mora", "zoe", "zoë", "the"]
CASED = ["Vel", *PIECES]
TEXT = "The river Velmora , the old river , met Zoë of Dorst in the Old Town ; the towns were colder than Dorst"
TRAIN = """
from hybridner.corpora.corpus import Sentence
from hybridner.text.tokenizer import train_tokenizer
print(train_tokenizer([Sentence(tuple({text!r}.split()))], 90).to_json())
"""


@pytest.fixture
def vocab(tmp_path):
    def vocab(pieces, name="vocab.txt"):
        path = tmp_path / name
        path.write_text("".join(f"{piece}\n" for piece in [*SPECIALS, *pieces]), encoding="utf-8")
        return str(path)

    return vocab


@pytest.fixture
def saved(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    return path


def pieces_of(tokenizer, *words):
    """Return the texts of each word's pieces."""
    names = {number: piece for piece, number in json.loads(tokenizer.to_json())["model"]["vocab"].items()}
    return [[names[i] for i in word] for word in tokenizer.encode_sentences([words])[0]]


def refused(source, lower_case=None):
    with pytest.raises(InputError) as caught:
        load_tokenizer(str(source), lower_case)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_training_gives_the_same_bytes_in_every_process():
    here = train_tokenizer([Sentence(tuple(TEXT.split()))], 90).to_json()
    for hash_seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", TRAIN.format(text=TEXT)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"},
        )
        assert done.stdout.rstrip("\n") == here, done.stderr


def test_a_trained_tokenizer_is_cased_and_spells_every_word_of_its_text():
    tokenizer = train_tokenizer([Sentence(tuple(TEXT.split()))], 90)
    assert tokenizer.vocab_size <= 90
    assert [tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id] == [0, 1, 2, 3]
    words = TEXT.split()
    for word, pieces in zip(words, pieces_of(tokenizer, *words), strict=True):
        assert "".join(piece.removeprefix("##") for piece in pieces) == word
    assert any(len(pieces) == 1 for pieces in pieces_of(tokenizer, "river"))  # merges were learned
    upper, lower = pieces_of(tokenizer, "Old", "old")
    assert upper != lower


def test_lower_casing_on_request_strips_accents_too():
    tokenizer = train_tokenizer([Sentence(tuple(TEXT.split()))], 90, lower_case=True)
    both = tokenizer.encode_sentences([["ZOË", "zoe"]])[0]
    assert both[0] == both[1]
    assert tokenizer.unk_id not in both[0]


def test_a_vocabulary_without_room_for_the_characters_is_refused_with_the_size_it_needs():
    with pytest.raises(InputError) as caught:
        train_tokenizer([Sentence(("ab", "bc"))], 10)
    assert str(caught.value) == (
        "vocab_size 10 is too small: the train split has 3 characters, which need at least 11 pieces"
    )
    assert train_tokenizer([Sentence(("ab", "bc"))], 11).vocab_size == 11


def test_a_saved_tokenizer_opens_with_the_same_pieces_and_bytes(tokenizer, saved):
    opened = load_tokenizer(str(saved))
    words = [*TEXT.split(), "Äquator", "\u200b"]
    assert opened.encode_sentences([words]) == tokenizer.encode_sentences([words])
    assert opened.to_json() == tokenizer.to_json() == saved.read_text(encoding="utf-8")
    assert load_tokenizer(str(saved.parent)).to_json() == tokenizer.to_json()


@pytest.mark.parametrize(
    ("pieces", "option", "lowered"),
    [
        (PIECES, None, True),
        (CASED, None, False),
        ([*PIECES, "ℝ"], None, True),  # upper case, but without a lower-case form
        (PIECES, False, False),
        (CASED, True, True),
    ],
)
def test_a_vocab_txt_is_lower_cased_only_if_no_piece_has_upper_case(vocab, pieces, option, lowered):
    tokenizer = load_tokenizer(vocab(pieces), option)
    assert pieces_of(tokenizer, "Zoë") == [["zoe"] if lowered else ["[UNK]"]]
    assert pieces_of(tokenizer, "velmora", "zoë") == [["vel", "##mora"], ["zoe"] if lowered else ["zoë"]]


def test_the_number_of_a_piece_is_its_line(vocab):
    tokenizer = load_tokenizer(vocab(PIECES))
    assert tokenizer.encode_sentences([["the", "velmora"]]) == [[[9], [5, 6]]]
    assert tokenizer.vocab_size == 10


def test_a_vocab_txt_may_have_windows_line_ends_and_a_byte_order_mark(vocab, tmp_path):
    plain = vocab(PIECES)
    content = (tmp_path / "vocab.txt").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "other.txt").write_bytes("\ufeff".encode() + content)
    assert load_tokenizer(str(tmp_path / "other.txt")).to_json() == load_tokenizer(plain).to_json()


def test_a_tokenizer_json_is_taken_as_it_is(saved):
    content = json.loads(saved.read_text(encoding="utf-8"))
    content["normalizer"]["lowercase"] = True
    content["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    saved.write_text(json.dumps(content), encoding="utf-8")
    tokenizer = load_tokenizer(str(saved))
    assert json.loads(tokenizer.to_json())["normalizer"] == content["normalizer"]
    assert tokenizer.encode_sentences([["RIVER"]]) == tokenizer.encode_sentences([["river"]])
    assert len(tokenizer.encode_sentences([["rrrrrrrrrr"]])[0][0]) > 4  # nothing is cut silently


@pytest.mark.parametrize("lower_case", [True, False])
def test_a_tokenizer_json_says_itself_whether_it_lower_cases(saved, lower_case):
    assert "remove --lower-case" in refused(saved, lower_case)


@pytest.mark.parametrize("word", ["\u200b", "\ufeff", "\x00", "", "\u200b\u200b", "x" * 101, "漢"])
def test_a_word_without_pieces_is_one_unknown_piece(tokenizer, word):
    assert tokenizer.encode_sentences([["the", word]])[0][1] == [tokenizer.unk_id]


def test_the_pieces_of_a_word_do_not_depend_on_its_neighbours(tokenizer):
    together = tokenizer.encode_sentences([["Velmora", "?", "Tarkin"], ["Tarkin", "the"], []])
    alone = [tokenizer.encode_sentences([[word]])[0][0] for word in ("Velmora", "?", "Tarkin", "the")]
    assert together == [alone[:3], alone[2:], []]


@pytest.mark.parametrize("special", SPECIALS[:4])
def test_a_missing_special_piece_is_named(vocab, tmp_path, special):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*(s for s in SPECIALS if s != special), *PIECES]), encoding="utf-8")
    said = refused(path)
    assert said.startswith(f"{path}: ")
    assert f"no {special} piece" in said


def test_a_roberta_like_tokenizer_has_its_special_pieces_under_other_names(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["<s>", "<pad>", "</s>", "<unk>", "the"]), encoding="utf-8")
    tokenizer = load_tokenizer(str(path))
    assert [tokenizer.cls_id, tokenizer.pad_id, tokenizer.sep_id, tokenizer.unk_id] == [0, 1, 2, 3]


def test_a_piece_that_stands_twice_is_named_with_both_lines(vocab):
    path = vocab([*PIECES, "vel"])
    assert refused(path) == f"{path}:11: piece 'vel' already appears on line 6"


def test_an_empty_vocab_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("")
    assert refused(tmp_path / "vocab.txt").endswith("vocab.txt: empty; expected one piece per line")


def test_a_vocab_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_bytes("\n".join([*SPECIALS, "zoë"]).encode("latin-1"))
    assert "vocab.txt: not UTF-8 (byte 33)" in refused(tmp_path / "vocab.txt")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": {"type": "WordPiece"}}'])
def test_a_damaged_tokenizer_json_is_refused(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    assert refused(tmp_path / "tokenizer.json").startswith(f"{tmp_path}/tokenizer.json: not a tokenizer.json that can")


def test_a_missing_file_or_an_empty_folder_is_named(tmp_path):
    assert "no such file; expected a vocab.txt" in refused(tmp_path / "nowhere" / "vocab.txt")
    assert "no such file" in refused("./somewhere")
    assert refused(tmp_path) == f"{tmp_path}: contains neither tokenizer.json nor vocab.txt"


def test_a_hub_id_out_of_reach_is_one_line(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def unreachable(name, allow_patterns):
        asked.append((name, allow_patterns))
        raise LocalEntryNotFoundError("no connection,\nand not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    said = refused("some/model")
    assert said.startswith("some/model: no such file or folder here, and the Hub did not provide it: ")
    assert said.endswith("the Hub is out of reach; check the network, HF_ENDPOINT and HF_HUB_OFFLINE")
    assert asked == [("some/model", ["tokenizer.json", "vocab.txt"])]  # it does not wait for a time-out twice


def test_of_a_hub_id_tokenizer_json_is_read_and_vocab_txt_where_there_is_none(vocab, saved, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(saved.parent))
    vocab(PIECES)
    assert load_tokenizer("new/model").to_json() == saved.read_text(encoding="utf-8")
    saved.unlink()
    assert load_tokenizer("old/model").vocab_size == 10


def test_a_local_folder_wins_over_a_hub_id(saved, monkeypatch):
    import huggingface_hub

    def must_not_be_called(*args, **kwargs):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", must_not_be_called)
    monkeypatch.chdir(saved.parent.parent)
    assert load_tokenizer(saved.parent.name).to_json() == saved.read_text(encoding="utf-8")
