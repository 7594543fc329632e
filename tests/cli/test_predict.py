"""Input and output of ``predict``, without a model."""

import io
import json
import tracemalloc
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hybridner.corpora.formats import read_sentences
from hybridner.errors import InputError
from hybridner.files.whole import opened_whole
from hybridner.tagging.decoding import Entity
from hybridner.tagging.inputs import Skipped, TextRecord, check_inputs, read_texts
from hybridner.tagging.outputs import conll, jsonl, text
from hybridner.tagging.page import html_page
from hybridner.tagging.tagger import TaggedText
from hybridner.tagging.terminal import coloured
from hybridner.text.words import Word, join_words, split_words

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


@pytest.fixture
def read(tmp_path):
    """Read the records of a file with this content."""

    def read(content, name="in.jsonl", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_texts([path], **options))

    return read


def tagged(content, *spans, tags=None):
    """Make a text tagged with these entities, ``(text, label)``, in order."""
    words = split_words(content)
    entities = []
    end = 0
    for found, label in spans:
        start = content.index(found, end)
        end = start + len(found)
        entities.append(Entity(found, label, start, end, 0.98765, (0, 1)))
    return TaggedText(content, words, tags or ["O"] * len(words), entities, [len(words)] if words else [])


def test_a_line_of_text_is_a_text(read):
    content = "\ufeffAnna.\r\n\r\na\x1cb\u2028c\n東京".encode()
    assert read(content, "in.txt") == [TextRecord(t) for t in ("Anna.", "", "a\x1cb\u2028c", "東京")]
    assert read(content, "in.conll", format="text") == read(content, "in.txt")
    assert read("", "in.txt") == read("", "in.jsonl") == read("", "in.conll") == []


def test_an_object_holds_a_text_or_words_and_carries_the_rest(read):
    lines = [
        {"id": 7, "text": "Anna.", "meta": {"a": [1, None]}},
        {"words": ["New York", ""], "tags": ["O", "O"]},
        {"tokens": ["U.S", "."], "id": "7"},
        {"text": "Dorst !", "words": [{"text": "Dorst", "start": 0, "end": 5}]},
        {"text": "is  Dorst!", "words": ["is", "Dorst", "!"]},
    ]
    found = read("\n\n".join(map(json.dumps, lines)))
    assert found == [
        TextRecord("Anna.", {"id": 7, "meta": {"a": [1, None]}}),
        TextRecord(join_words(["New York", ""]), {"tags": ["O", "O"]}),
        TextRecord(join_words(["U.S", "."]), {"id": "7"}),
        TextRecord("Dorst !", {"words": lines[3]["words"]}),
        TextRecord(("is  Dorst!", [[Word("is", 0, 2), Word("Dorst", 4, 9), Word("!", 9, 10)]])),
    ]
    assert join_words(["New York", ""]) == ("New York ", [[Word("New York", 0, 8), Word("", 9, 9)]])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": ', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "expected an object with a 'text', or with 'words'"),
        ('{"txt": ""}', "neither a string 'text' nor a list of strings 'words' or 'tokens'; there are 'txt'"),
        ("{}", "neither a string 'text' nor a list of strings 'words' or 'tokens'; there are no keys"),
        ('{"text": 3}', "neither a string 'text'"),
        ('{"words": ["a", 3]}', "neither a string 'text' nor a list of strings"),
        ('{"text": "a b", "words": ["b", "a"]}', "word 'b' does not follow the word before it in 'text'"),
        (b'{"text": "\xe9"}', "not UTF-8"),
        (b"\x7fELF\x00\x01", "a NUL byte, as in UTF-16 or in a file that is no text"),
    ],
)
def test_a_line_that_is_not_usable_is_named_or_skipped_and_counted(read, line, said):
    line = line if isinstance(line, bytes) else line.encode()
    content = b'{"text": "first", "id": [1]}\n\n' + line + b'\n{"text": "last"}\n'
    with pytest.raises(InputError, match=f"in.jsonl:3: {said}"):
        read(content)
    skipped = Skipped()
    assert [record.text for record in read(content, issues=skipped)] == ["first", "last"]
    assert skipped.count == 1
    assert "in.jsonl:3: " in skipped.problems[0]


def test_ids_are_carried_through_and_may_be_repeated(read):
    lines = [{"text": "", "id": value} for value in (1, 1, "1", [1], None)]
    assert [record.carried for record in read("\n".join(map(json.dumps, lines)))] == [
        {"id": value} for value in (1, 1, "1", [1], None)
    ]


def test_memory_does_not_grow_with_the_stream(tmp_path):
    path, count = tmp_path / "in.jsonl", 20_000
    with path.open("w") as file:
        file.writelines(f'{{"text": "", "id": "number {i}"}}\n' for i in range(count))
    texts = read_texts([path])
    next(texts)
    tracemalloc.start()
    try:
        for _ in islice(texts, count // 2):
            pass
        assert tracemalloc.get_traced_memory()[0] < count  # two bytes per text read
    finally:
        tracemalloc.stop()


def test_columns_keep_sentences_and_documents(read):
    content = "-DOCSTART- -X- O\n\nAnna NNP I-PER\nsleeps VB O\n\nYes UH O\n-DOCSTART- -X- O\nNo UH O\n"
    found = read(content, "in.conll")
    assert [record.text.text for record in found] == ["Anna sleeps", "Yes", "No"]
    assert [record.document for record in found] == [(0, 0), (0, 0), (0, 1)]
    assert read("New York\tB-LOC\n", "in.tsv")[0].text.sentences[0][0].text == "New York"


def test_a_row_that_breaks_its_columns_is_never_skipped(read):
    with pytest.raises(InputError, match=r"in.conll:2: a TAB"):
        read("a O\nb\tO\n", "in.conll", issues=Skipped())


def test_bytes_read_are_told_as_they_are_read(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("Zoë\n東京\nx")
    sizes = []
    for number, _ in enumerate(read_texts([path], advance=sizes.append)):
        assert len(sizes) == number
    assert sizes == [5, 7, 1]


def test_an_input_that_is_not_there_is_named_before_the_work(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.txt: no such file"):
        check_inputs([tmp_path / "nowhere.txt"])
    with pytest.raises(InputError, match="a folder; expected a file"):
        check_inputs([tmp_path])


def test_json_holds_what_was_carried_first_and_what_was_found_in_place_of_older_finds():
    record = TextRecord("Anna.", {"id": 7, "tags": ["old"], "more": {"é": 1.5}})
    found = tagged("Anna.", ("Anna", "PER"), tags=["B-PER", "O"])
    (line,) = jsonl([(record, found)])
    assert list(json.loads(line)) == ["id", "more", "text", "words", "tags", "entities"]
    assert json.loads(line)["tags"] == ["B-PER", "O"]
    assert json.loads(line)["more"] == {"é": 1.5}
    assert line.endswith("}\n")
    assert line.count("\n") == 1


def test_half_a_surrogate_pair_comes_back_from_a_json_file(tmp_path):
    with opened_whole(tmp_path / "out.jsonl") as file:
        file.writelines(jsonl([(TextRecord("\ud800"), tagged("\ud800"))]))
    assert json.loads((tmp_path / "out.jsonl").read_text())["text"] == "\ud800"


def test_columns_written_are_the_sentences_and_documents_read(tmp_path):
    content = "-DOCSTART- O\n\nAnna O\nsleeps O\n\nYes O\n\n-DOCSTART- O\n\nNo O\n"
    source, copy = tmp_path / "a.conll", tmp_path / "b.conll"
    source.write_text(content)
    results = [
        (record, TaggedText(record.text.text, words, ["O"] * len(words), [], [len(words)]))
        for record in read_texts([source])
        for words in record.text.sentences
    ]
    copy.write_text("".join(conll(results)))
    found, expected = ([(s.words, s.document) for s in read_sentences(path)] for path in (copy, source))
    assert found == expected


@pytest.mark.parametrize("word", ["", " ", "a\tb", "a\nb", "\r", "-DOCSTART-"])
def test_a_word_that_cannot_stand_in_a_row_is_refused(word):
    joined = join_words([word])
    with pytest.raises(InputError, match="cannot be written in columns; choose --format jsonl"):
        list(conll([(TextRecord(joined), TaggedText(joined.text, joined.sentences[0], ["O"], [], [1]))]))


def test_an_entity_is_a_line_whatever_it_holds():
    found = tagged("to New\r\nYork", ("New\r\nYork", "LOC"))
    assert list(text([(TextRecord(""), found), (TextRecord(""), tagged(""))])) == ["LOC\tNew York\t3\t12\t0.988\n"]


def show(found, **terminal):
    console = Console(file=io.StringIO(), **terminal)
    return "".join(coloured([(TextRecord(""), found)], LABELS, console))


def test_entities_are_named_with_and_without_colours():
    found = tagged("Anna [x] sees Dorst, 🇩🇪 and Dorst", ("Anna", "PER"), ("Dorst", "LOC"))
    plain = "[Anna PER] [x] sees [Dorst LOC], 🇩🇪 and Dorst\n"
    assert show(found) == plain
    assert show(found, force_terminal=True, _environ={"TERM": "dumb"}) == plain
    assert show(found, force_terminal=True, color_system="standard", no_color=True).replace("\x1b[1m", "").replace(
        "\x1b[0m", ""
    ) == plain  # fmt: skip
    bright = show(found, force_terminal=True, color_system="standard")
    assert "\x1b[36m" in bright
    assert "\x1b[32m" in bright
    assert "Dorst" in bright


def test_a_narrow_terminal_breaks_lines_itself_and_nothing_is_cut():
    found = tagged("word " * 30 + "Anna", ("Anna", "PER"))
    assert show(found, force_terminal=True, color_system=None, width=40) == "word " * 30 + "[Anna PER]\n"


def test_a_text_cannot_steer_the_terminal():
    shown = show(tagged("a\x1b[2J\x9b\x07\r\n\tb\ud800"), force_terminal=True)
    assert shown == "a␛[2J\ufffd␇\n        b\ufffd\n"


class Page(HTMLParser):
    """Texts and marks of a page as a reader sees them."""

    def __init__(self, content):
        super().__init__()
        self.texts, self.marks, self.tags, self.legend, self._in_text, self._in_mark = [], [], [], "", False, False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "div" and attrs["class"] == "text":
            self._in_text = True
            self.texts.append("")
        if tag == "mark" and self._in_text:
            self._in_mark = True
            self.marks.append((len(self.texts) - 1, len(self.texts[-1]), "", attrs["data-label"]))

    def handle_endtag(self, tag):
        self._in_text &= tag != "div"
        self._in_mark &= tag != "mark"

    def handle_data(self, data):
        if self._in_text:
            self.texts[-1] += data
        elif "main" not in self.tags:
            self.legend += data
        if self._in_mark:
            number, start, so_far, label = self.marks[-1]
            self.marks[-1] = (number, start, so_far + data, label)


def page_of(*found):
    return "".join(html_page([(TextRecord(""), one) for one in found], LABELS))


def test_a_page_shows_the_texts_and_marks_their_entities():
    content = "  Anna <b>& \"Dorst\"</b>\r\nשלום 'Dorst' &amp; <!-- </div></mark>"
    page = page_of(tagged(content, ("Anna", "PER"), ("Dorst", "LOC"), ("Dorst", "LOC")), tagged(""))
    parsed = Page(page)
    assert parsed.texts == [content, ""]
    dorst = content.index("Dorst")
    assert parsed.marks == [
        (0, 2, "Anna", "PER"),
        (0, dorst, "Dorst", "LOC"),
        (0, content.rindex("Dorst"), "Dorst", "LOC"),
    ]
    assert "2 texts, 30 words, 3 entities" in parsed.legend
    assert " ".join(parsed.legend.split()).endswith("PER 1 LOC 2")
    assert 'dir="auto"' in page


def test_a_page_runs_nothing_and_fetches_nothing():
    evil = "<script>alert(1)</script> <img src=x onerror=alert(1)> \" onmouseover='x' </style> <!-- body -->"
    parsed = Page(page_of(tagged(evil, ("<img src=x onerror=alert(1)>", "PER"))))
    assert parsed.texts == [evil]
    assert not {"script", "img", "link", "iframe"} & set(parsed.tags)
    assert "http" not in page_of(tagged("x"))


@given(st.text(st.characters(categories=None), max_size=30))
def test_a_page_shows_any_text_but_what_html_cannot_hold(content):
    expected = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in content)
    assert Page(page_of(tagged(content))).texts == [expected]


def test_a_file_has_its_name_once_it_is_whole(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")

    def fail():
        with opened_whole(path) as file:
            file.write("new")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.txt", "old")]
    with opened_whole(path) as file:
        file.write("new\r\n")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.txt", b"new\r\n")]
    with pytest.raises(InputError, match=r"nowhere/out.txt: cannot be written \(No such file or directory\)"):
        opened_whole(tmp_path / "nowhere" / "out.txt").__enter__()


def test_what_is_no_plain_file_is_written_as_it_is():
    with opened_whole(Path("/dev/null")) as file:
        file.write("x")
    assert Path("/dev/null").is_char_device()
