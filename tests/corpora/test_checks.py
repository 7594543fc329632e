import json
import os

import pytest

from hybridner.corpora.checks import FINDINGS, PROBLEMS, check_corpus
from hybridner.corpora.checks_text import check_text
from hybridner.corpora.formats import ColumnFormat
from hybridner.errors import InputError

SHARED = os.environ.get("HYBRIDNER_SHARED_DATA")
needs_shared_data = pytest.mark.skipif(
    SHARED is None, reason="HYBRIDNER_SHARED_DATA does not name the folder of corpora"
)
CLEAN = "Ann B-PER\nLee I-PER\nran O\n\nin O\nOslo B-LOC\n\n"
OTHER = "Bob B-PER\nsleeps O\n\nto O\nRome B-LOC\nby O\ntrain O\n\n"


@pytest.fixture
def check(tmp_path):
    """Check a folder of these files; by default the train split is clean."""

    def check(files=None, **options):
        for name, content in {"train.txt": CLEAN, **(files or {})}.items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return check_corpus(str(tmp_path), **options)

    return check


def found(result):
    return {(one.id, one.split): one.count for one in result.findings}


def test_a_clean_corpus_has_sizes_and_no_findings(check):
    result = check({"dev.txt": OTHER})
    assert (result.findings, result.problems, result.notes) == ([], [], [])
    train, valid = result.splits["train"], result.splits["valid"]
    assert (train.report.sentences, train.report.words, train.report.documents) == (2, 5, 1)
    assert train.report.entities == valid.report.entities == {"LOC": 1, "PER": 1}
    lengths = valid.words_per_sentence
    assert (lengths.median, lengths.longest) == (3.0, 4)
    assert (train.entities_in_train, valid.entities_in_train) == (None, 0.0)


def test_a_single_file_can_be_checked(check, tmp_path):
    check()
    assert list(check_corpus(str(tmp_path / "train.txt")).splits) == ["file"]


def test_duplicates_are_counted_within_and_across_splits_once_a_sentence(check):
    twice = "in O\nOslo B-LOC\n\n" * 2
    result = check({"train.txt": CLEAN + twice, "valid.txt": twice + OTHER, "test.txt": OTHER + "in O\nOslo B-LOC\n"})
    assert found(result) == {
        ("duplicate-within-split", "train"): 2,
        ("duplicate-within-split", "valid"): 1,
        ("duplicate-across-splits", "valid"): 2,
        ("duplicate-across-splits", "test"): 3,
    }
    assert "train.txt:8 and in train at line 5: 'in Oslo'" in result.findings[0].examples[0]


def test_the_same_sentence_with_other_tags_is_a_conflict(check):
    result = check({"train.txt": CLEAN + "in O\nOslo O\n", "test.txt": "in O\nOslo B-PER\n"})
    assert found(result)["conflicting-labels", "train"] == 1
    assert found(result)["conflicting-labels", "test"] == 1


def test_a_type_unseen_in_train_and_the_entities_seen_there_are_counted(check):
    result = check({"test.txt": "Oslo B-LOC\n\nOslo B-PER\n\noslo B-LOC\n\non O\nMonday B-DATE\n"})
    assert found(result) == {("type-unseen-in-train", "test"): 1, ("conflicting-labels", "test"): 1} | {
        ("duplicate-within-split", "test"): 1
    }
    assert result.findings[-1].examples[0].endswith("test.txt:7: 'Monday' (DATE)")
    assert result.splits["test"].entities_in_train == 1 / 4


def test_repairs_are_found_where_they_are(check):
    result = check({"valid.txt": OTHER + "Eve I-PER\n\nDan I-PER\nis O\n"})
    assert found(result) == {("repaired-tags", "valid"): 2}
    assert [place.rpartition(":")[2] for place in result.findings[0].examples] == ["9", "11"]


def test_a_split_without_entities_long_sentences_and_long_words_are_found(check):
    result = check({"valid.txt": "word O\n" * 201 + f"\n{'x' * 10_000} O\n"})
    assert found(result) == {("no-entities", "valid"): 1, ("long-sentence", "valid"): 1, ("long-word", "valid"): 1}
    assert "valid.txt:1: 201 words" in result.findings[1].examples[0]
    assert "10,000 characters" in result.findings[2].examples[0]


@pytest.mark.parametrize("word", ["a\x07", "\x7f", "\x85", "a\ufeff", "caf\ufffd"])
def test_odd_characters_are_found_and_shown_without_being_printed(check, word):
    result = check({"valid.txt": f"{OTHER}{word} O\n"})
    assert found(result) == {("odd-characters", "valid"): 1}
    assert result.findings[0].examples[0].endswith(f"valid.txt:9: {word!a}")
    assert word not in check_text(result)


def test_a_nul_that_json_spells_out_is_an_odd_character(check):
    result = check({"valid.jsonl": json.dumps({"words": ["a\0", "b"], "tags": ["B-PER", "O"]})})
    assert found(result) == {("odd-characters", "valid"): 1}


def test_spans_that_were_dropped_are_found(check):
    text = {"valid.jsonl": json.dumps({"text": "Ann sleeps.", "spans": [[0, 3, "PER"], [4, 6, "LOC"]]})}
    assert "does not fall on word boundaries" in check(text).problems[0]
    result = check(text, misaligned="drop")
    assert found(result) == {("misaligned-spans", "valid"): 1}
    assert result.splits["valid"].report.entities == {"PER": 1}


def test_all_problems_of_all_splits_are_named_and_the_other_splits_are_looked_at(check):
    result = check({"valid.txt": "a O\nb\nc TAG\n", "test.txt": b"\xff\n" + b"x\n" * 100, "train.txt": CLEAN})
    assert list(result.splits) == ["train"]
    valid, test = ([p for p in result.problems if f"{name}.txt" in p] for name in ("valid", "test"))
    assert [problem.split(":")[1] for problem in valid] == ["2", "3"]
    assert len(test) == PROBLEMS
    assert result.problems[-1] == f"{PROBLEMS} problems; the rest was not read"


def test_mixed_schemes_are_a_problem_that_names_both_places(check, tmp_path):
    where = f"{tmp_path}/train.txt"
    result = check({"train.txt": "a S-X\n\nb U-X\n"})
    assert result.problems == [f"{where}:3: tag U-, but S- at {where}:1; use BIOES or BILOU, not both"]


def test_bio_within_bioes_is_repairs_with_their_places(check):
    result = check({"train.txt": "a S-X\n\nb B-X\nc I-X\nd O\n\ne B-X\n"})
    assert found(result) == {("repaired-tags", "train"): 2}
    assert [place.rpartition(":")[2] for place in result.findings[0].examples] == ["3", "7"]
    assert result.splits["train"].report.entities == {"X": 3}


def test_columns_are_those_asked_for(check):
    result = check({"train.txt": "# c\n1 Ann B-PER _\n"}, columns=ColumnFormat(2, 3, "#"))
    assert result.splits["train"].report.entities == {"PER": 1}


def test_pieces_are_counted_with_a_tokenizer(check, tokenizer):
    pieces = check(tokenizer=tokenizer).splits["train"].pieces_per_sentence
    words = [("Ann", "Lee", "ran"), ("in", "Oslo")]
    assert pieces.longest == max(sum(map(len, one)) for one in tokenizer.encode_sentences(words))


def test_a_corpus_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match="no such folder"):
        check_corpus("./nowhere")


def test_all_that_is_found_is_plain_values_with_their_meaning(check):
    values = json.loads(json.dumps(check({"valid.txt": CLEAN}).to_dict()))
    assert values["splits"]["valid"]["report"]["words"] == 5
    assert values["findings"][0]["id"] == "duplicate-across-splits"
    assert values["findings"][0]["meaning"] == FINDINGS["duplicate-across-splits"]


@pytest.mark.parametrize("width", [10, 40, 80, 200])
def test_the_report_fits_any_width_and_says_everything(check, width):
    splits = {"valid.txt": CLEAN, "test.txt": "Oslo B-ORGANISATION\n"}
    text = check_text(check(splits), width)
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= max(width, 30)
    for word in ("duplicate-across-splits", "type-unseen-in-train", "ORGANISATION", "BIO", "train", "valid", "test"):
        assert word in text


@needs_shared_data
def test_conll_2003_shares_with_its_train_split_what_is_known_of_it():
    result = check_corpus(f"{SHARED}/conll2003")
    shares = {name: facts.entities_in_train for name, facts in result.splits.items()}
    assert (round(shares["valid"], 2), round(shares["test"], 2)) == (0.67, 0.52)
    assert {one.id for one in result.findings} == {
        "duplicate-within-split",
        "duplicate-across-splits",
        "conflicting-labels",
    }
