import json
from pathlib import Path

import pytest

from hybridner.corpora.corpus import Sentence
from hybridner.corpora.formats import PLAIN, SUFFIXES, ColumnFormat, read_columns, read_sentences
from hybridner.corpora.issues import Issues
from hybridner.errors import InputError


@pytest.fixture
def read(tmp_path):
    def read(content, name="f.txt", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_sentences(path, **options))

    return read


def read_unlabelled(content, name="f.txt", columns=PLAIN):
    return list(read_columns(Path(name), enumerate(content.split("\n"), 1), False, columns, Issues()))


@pytest.fixture
def message(read):
    def message(*args, **kwargs):
        with pytest.raises(InputError) as caught:
            read(*args, **kwargs)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return message


TWO = [Sentence(("Ann", "ran"), ("B-PER", "O"), 0, 1), Sentence(("Oslo",), ("B-LOC",), 0, 4)]


def test_suffixes_are_those_promised():
    assert set(SUFFIXES) == {".txt", ".conll", ".tsv", ".jsonl", ".iob2"}


@pytest.mark.parametrize("name", ["f.txt", "f.conll", "f.tsv", "f.iob2", "eng.train"])
def test_a_sentence_knows_the_line_it_starts_at(read, name):
    assert read("Ann\tB-PER\nran\tO\n\nOslo\tB-LOC\n", name) == TWO


@pytest.mark.parametrize(
    "content",
    [
        "Ann B-PER\nran O\n\nOslo B-LOC",
        "Ann B-PER\r\nran O\r\n\r\nOslo B-LOC\r\n",
        "\ufeffAnn B-PER\nran O\n\nOslo B-LOC\n",
        "Ann NNP  I-NP   B-PER \nran VBD I-VP O\n \t\n  Oslo NNP I-NP B-LOC\n\n\n\n",
        "Ann \t NNP x \t B-PER \nran\t\tO\n \t\nOslo\tNNP\tB-LOC\n",
    ],
    ids=["no final newline", "CRLF", "BOM", "runs of spaces and more columns", "TABs with spaces around"],
)
def test_columns_are_read_however_they_are_laid_out(read, content):
    assert read(content) == TWO


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("New York\tB-LOC\n", "f.txt"),
        ("-DOCSTART-\n\nNew York\tB-LOC\n", "f.txt"),
        ("-DOCSTART- -X- O O\n\nNew York\tB-LOC\n-DOCSTART- -X- O O\n", "f.txt"),
        ("New York\tNNP\tB-LOC\n", "f.tsv"),
    ],
)
def test_a_file_whose_rows_hold_tabs_is_split_on_tab_alone(read, content, name):
    (sentence,) = read(content, name)
    assert (sentence.words, sentence.tags) == (("New York",), ("B-LOC",))


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize(
    "word", ["a\u2028b", "a\u0085b", "a\u00a0b", "\u200b", "\u00a0", "a\x0cb", "a\u3000b", "a\x1cb"]
)
def test_rare_white_space_stays_in_its_word(read, word, separator):
    assert read(f"{word}{separator}O\nx{separator}O\n") == [Sentence((word, "x"), ("O", "O"), 0, 1)]


def test_docstart_rows_begin_documents_and_are_no_sentences(read):
    content = "-DOCSTART- -X- O O\n\na O\n\nb O\n-DOCSTART- -X- O O\n-DOCSTART- -X- O O\nc O\n\n-DOCSTART- -X- O O\n"
    assert [(s.words, s.document, s.line) for s in read(content)] == [(("a",), 0, 3), (("b",), 0, 5), (("c",), 1, 8)]


def test_without_labels_a_word_alone_in_its_row_will_do():
    assert read_unlabelled("Ann\nran\n\nOslo\n") == [
        Sentence(("Ann", "ran"), None, 0, 1),
        Sentence(("Oslo",), None, 0, 4),
    ]
    assert read_unlabelled("New York\n", "f.tsv") == [Sentence(("New York",), None, 0, 1)]


def test_without_labels_what_stands_in_the_tag_column_does_not_matter():
    assert read_unlabelled("Ann whatever\n") == [Sentence(("Ann",), None, 0, 1)]


def test_a_row_with_too_few_columns_is_named(message, tmp_path):
    text = message("Ann B-PER\nran\n")
    assert text.startswith(f"{tmp_path / 'f.txt'}:2: a row of 1 column ('ran'); expected a word first and its tag last")


@pytest.mark.parametrize("content", ["Ann\tB-PER\nran O\n", "Ann\tB-PER\n\tO\n"])
def test_a_tab_separated_row_without_word_or_tag_is_named(message, content):
    assert "f.txt:2: a row of" in message(content)


@pytest.mark.parametrize("tag", ["PER", "B_PER", "b-per", "o", "B-"])
def test_a_tag_of_another_shape_is_named_with_its_line(message, tmp_path, tag):
    expected = f"{tmp_path}/f.txt:3: tag {tag!r}; expected O, or B-TYPE"
    assert message(f"Ann B-PER\n\nx {tag}\n").startswith(expected)
    assert f"f.jsonl:1: tag {tag!r}" in message(json.dumps({"words": ["x"], "tags": [tag]}), "f.jsonl")


def test_rows_with_and_without_tabs_are_not_mixed(message):
    assert "f.txt:2: a TAB, where rows before have none ('New York\\tB-LOC')" in message("x O\nNew York\tB-LOC\n")


def test_an_empty_last_column_is_no_tag(message):
    assert "f.txt:1: tag ''" in message("Ann\tB-PER\t\n")


CONLLU = "# sent_id = 1\n# text\n1\tAnn\tB-PER\t_\n2\tran\tO\t_\n\n# sent_id = 2\n1\tOslo\tB-LOC\t_\n"


@pytest.mark.parametrize("columns", [ColumnFormat(2, 3, "#"), ColumnFormat(-3, -2, "# "), ColumnFormat(2, -2, "#")])
def test_columns_are_counted_from_either_end_and_comments_left_out(read, columns):
    assert [(s.words, s.tags, s.line) for s in read(CONLLU, columns=columns)] == [
        (("Ann", "ran"), ("B-PER", "O"), 3),
        (("Oslo",), ("B-LOC",), 7),
    ]


def test_without_labels_the_tag_column_may_be_missing():
    assert read_unlabelled("1 Ann\n", columns=ColumnFormat(2, 4))[0].words == ("Ann",)


def test_a_hash_is_a_word_unless_it_was_said_to_begin_comments(read):
    assert read("# O\n#tag B-X\n")[0].words == ("#", "#tag")


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        (ColumnFormat(2, 4), "1 Ann B-PER", "a word in column 2 and its tag in column 4"),
        (ColumnFormat(2, -1), "1 B-PER", "a word in column 2 and its tag last"),
        (ColumnFormat(-2, 3), "B-PER Ann x -", "a word in column -2 and its tag in column 3"),
        (ColumnFormat(-4, 1), "B-PER Ann x", "a word in column -4 and its tag in column 1"),
    ],
)
def test_a_row_without_the_columns_asked_for_says_which_they_are(message, columns, row, expected):
    text = message(f"{row}\n", columns=columns)
    assert "f.txt:1: a row of" in text
    assert f"expected {expected}, split by spaces" in text


@pytest.mark.parametrize("columns", [(0, 1), (1, 0), (2, 2), (-1, -1)])
def test_columns_that_cannot_be_are_refused(columns):
    with pytest.raises(InputError, match="column"):
        ColumnFormat(*columns)


@pytest.mark.parametrize("name", ["f.txt", "f.jsonl"])
@pytest.mark.parametrize("content", [b"\0 O\n", "a O\n".encode("utf-16-le"), b"\x00\x01\x02"])
def test_nul_bytes_are_no_text(message, name, content):
    assert "a NUL byte, as in UTF-16 or in a file that is no text" in message(content, name)


@pytest.mark.parametrize("name", ["f.txt", "f.jsonl"])
@pytest.mark.parametrize("content", [b"\x1f\x8b\x08\x00", b"\x89PNG\r\n", "a O\n".encode("utf-16")])
def test_binary_files_are_no_text(message, name, content):
    assert f"{name}:1: not UTF-8 (byte " in message(content, name)


@pytest.mark.parametrize("name", ["f.txt", "f.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: a folder; expected a file"):
        list(read_sentences(tmp_path / name))


@pytest.mark.parametrize("word", ["x" * 10_000, "a\x01b", "\x7f", "\ufffd"])
def test_odd_words_are_words(read, word):
    assert read(f"{word} O\n")[0].words == (word,)
    assert read(json.dumps({"words": [word], "tags": ["O"]}), "f.jsonl")[0].words == (word,)


def test_problems_can_be_collected_and_the_rest_is_read(read, tmp_path):
    issues = Issues(limit=10)
    sentences = read(b"a O\nb\n\xff O\nc TAG\n\nd O\n", issues=issues)
    assert [s.words for s in sentences] == [("a",), ("d",)]
    assert [problem.split(":")[1] for problem in issues.problems] == ["2", "3", "4"]
    issues = Issues(limit=10)
    good = json.dumps({"words": ["a"], "tags": ["O"]})
    assert len(read(f"{good}\n{{\n{good}\n[]\n", "f.jsonl", issues=issues)) == 2
    assert [problem.split(":")[1] for problem in issues.problems] == ["2", "4"]


def test_collecting_ends_where_there_are_too_many_problems(read):
    issues = Issues(limit=3)
    with pytest.raises(InputError, match="3 problems; the rest was not read"):
        read("a\n" * 10, issues=issues)
    assert len(issues.problems) == 3


def test_an_id_that_stands_twice_names_both_lines(message, read):
    lines = [json.dumps({"words": ["a"], "tags": ["O"], "id": key}) for key in (1, "1", None, None, [2], "1")]
    assert "f.jsonl:6: its id appears on line 2 already" in message("\n".join(lines), "f.jsonl")
    assert len(read("\n".join(lines[:-1]), "f.jsonl")) == 5


@pytest.mark.parametrize("name", ["f.txt", "f.jsonl"])
def test_bytes_that_are_not_utf8_are_named_with_their_line(message, name):
    good = b'{"words": ["a"], "tags": ["O"]}\n' if name == "f.jsonl" else b"a O\n"
    assert f"{name}:3: not UTF-8 (byte 3)" in message(good + good + b"caf\xe9 O\n", name)


def test_lines_that_end_in_cr_alone_are_refused(message):
    assert "f.txt:1: a CR inside a line" in message("Ann B-PER\rran O\r")


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.txt: cannot be read \(No such file"):
        list(read_sentences(tmp_path / "nothing.txt"))


@pytest.mark.parametrize("name", ["f.jsonl", "F.JSONL"])
@pytest.mark.parametrize(("words", "tags"), [("words", "tags"), ("tokens", "ner_tags")])
def test_jsonl_holds_a_sentence_a_line(read, words, tags, name):
    lines = [{words: ["Ann\u2028", "ran"], tags: ["B-PER", "O"], "id": 7}, {words: ["Oslo"], tags: ["B-LOC"]}]
    content = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert read(content, name) == [
        Sentence(("Ann\u2028", "ran"), ("B-PER", "O"), 0, 1),
        Sentence(("Oslo",), ("B-LOC",), 0, 3),
    ]


def test_jsonl_documents_are_numbered_where_they_change_so_that_each_is_in_one_piece(read):
    lines = [{"words": ["x"], "tags": ["O"], "document": key} for key in ("a", "a", "b", 3, "a")]
    assert [s.document for s in read("\n".join(map(json.dumps, lines)), "f.jsonl")] == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (f'{{"id": {"[" * 400}{"]" * 400}, "words": ["a"], "tags": ["O"]}}', "nests more than 100 deep"),
        ("[1]", "expected an object with 'words' and 'tags'"),
        ('{"text": "a"}', "no 'spans' or 'entities'; there are 'text'"),
        ('{"sentence": "a"}', "no 'words' or 'tokens'; there are 'sentence'"),
        ("{}", "there are none"),
        ('{"words": ["a"]}', "no 'ner_tags' or 'tags'"),
        ('{"words": "a", "tags": ["O"]}', "'words' is not a list of strings"),
        ('{"words": ["a"], "tags": [0]}', "'tags' is not a list of strings"),
        ('{"words": ["a", "b"], "tags": ["O"]}', "2 words and 1 tags; expected as many of each"),
        ('{"words": [], "tags": []}', "no word in it; take the line out"),
        (r'{"words": ["\ud800"], "tags": ["O"]}', "half a surrogate pair"),
        (r'{"words": ["a"], "tags": ["B-\udc00"]}', r"tag 'B-\udc00'; expected O"),
        (r'{"text": "a \ud800", "spans": []}', "half a surrogate pair"),
        (r'{"text": "a", "spans": [[0, 1, "\ud800"]]}', r"[0, 1, '\ud800'] is no span"),
    ],
    ids=lambda value: value[:30],
)
def test_a_jsonl_line_that_is_no_labelled_sentence_is_named(message, line, words):
    text = message('{"words": ["a"], "tags": ["O"]}\n' + line, "f.jsonl")
    assert "f.jsonl:2: " in text
    assert words in text


def test_sentences_come_one_at_a_time(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("Ann B-PER\n\nran\n")
    sentences = read_sentences(path)
    assert next(sentences).words == ("Ann",)
    with pytest.raises(InputError):
        next(sentences)
