import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.corpus import Sentence, Split, SplitReport
from hybridner.corpora.read import read_file
from hybridner.corpora.schemes import SCHEMES, entity_spans
from hybridner.corpora.write import SUFFIX, convert_corpus, write_split
from hybridner.errors import InputError

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
COLUMN_WORDS = WORDS.filter(
    lambda word: word.strip(" ") == word and not set("\t\n\r\0") & set(word) and word[0] != "\ufeff"
)


@st.composite
def documents(draw, words):
    """Make sentences in documents, tagged with valid BIO."""
    sentences = []
    for document in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 3))):
            tagged = []
            for _ in range(draw(st.integers(1, 4))):
                kind, length = draw(st.sampled_from(["", "A", "B-C"])), draw(st.integers(1, 3))
                prefixes = ["B-", *["I-"] * (length - 1)]
                tagged += [(draw(words), prefix + kind if kind else "O") for prefix in prefixes]
            sentences.append(Sentence(*map(tuple, zip(*tagged, strict=True)), document, len(sentences)))
    return sentences


def written(tmp_path_factory, sentences, to, scheme="BIO"):
    path = tmp_path_factory.mktemp("written") / f"f{SUFFIX[to]}"
    report = SplitReport("f", "BIO", len(sentences), 0, sentences[-1].document + 1, 0, {})
    return path, write_split(path, Split(sentences), report, to, scheme)


def plain(sentences):
    return [(s.words, s.tags, s.document) for s in sentences]


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "IO"])
@settings(deadline=None, max_examples=25)
@given(sentences=documents(COLUMN_WORDS))
def test_columns_in_any_scheme_hold_the_same_words_tags_and_documents(tmp_path_factory, scheme, sentences):
    path, said = written(tmp_path_factory, sentences, "conll", scheme)
    split, report = read_file(path)
    assert plain(split) == plain(sentences)
    assert (report.repairs, said) == (0, [])


@settings(deadline=None, max_examples=25)
@given(sentences=documents(WORDS))
def test_jsonl_holds_the_same_words_tags_and_documents(tmp_path_factory, sentences):
    path, said = written(tmp_path_factory, sentences, "jsonl")
    assert plain(read_file(path)[0]) == plain(sentences)
    assert said == []


@settings(deadline=None, max_examples=25)
@given(sentences=documents(COLUMN_WORDS))
def test_columns_and_jsonl_and_back_are_the_same_bytes(tmp_path_factory, sentences):
    path, _ = written(tmp_path_factory, sentences, "conll", "BIOES")
    there, back = path.with_name("there.jsonl"), path.with_name("back.conll")
    convert_corpus(str(path), there, "jsonl", "IOB1")
    convert_corpus(str(there), back, "conll", "BIOES")
    assert back.read_bytes() == path.read_bytes()


@settings(deadline=None, max_examples=25)
@given(sentences=documents(st.text(st.sampled_from("abAé日.-'1"), min_size=1, max_size=4)))
def test_spans_hold_every_entity_or_say_how_many_they_lose(tmp_path_factory, sentences):
    path, said = written(tmp_path_factory, sentences, "spans")
    split, report = read_file(path, misaligned="drop")
    before, after = ([(kind, "".join(s.words[a:b])) for s in part for kind, a, b in entity_spans(s.tags)]
                     for part in (sentences, split))  # fmt: skip
    assert len(after) + report.dropped_spans == len(before)
    assert any("will not fall on word boundaries" in line for line in said) == (report.dropped_spans > 0)
    if not report.dropped_spans:
        assert after == before
    if not said:
        assert plain(split) == plain(sentences)


def test_io_says_how_many_entities_run_together(tmp_path_factory):
    tags = ("B-A", "B-A", "B-B", "B-A", "I-A", "B-A", "B-A")
    path, said = written(tmp_path_factory, [Sentence(tuple("abcdefg"), tags)], "conll", "IO")
    assert said == ["f: 3 entities joined with a neighbour of the same type, as in IO"]
    assert [(kind, stop - start) for kind, start, stop in entity_spans(read_file(path)[0][0].tags)] == [
        ("A", 2),
        ("B", 1),
        ("A", 4),
    ]


RECUT = ["f: 1 sentence will be cut into other words when the text is read"]
OFF = ["f: 1 span will not fall on word boundaries then (--misaligned drop)"]


@pytest.mark.parametrize(
    ("words", "tags", "said"),
    [
        (("don't", "go"), ("O", "O"), RECUT),
        (("Lee's", "car"), ("B-X", "O"), RECUT),
        (("\u200b", "car"), ("B-X", "O"), RECUT + OFF),
        (("Lee", "'s", "car"), ("B-X", "O", "O"), []),
    ],
)
def test_spans_say_what_reading_the_text_will_cut_otherwise(tmp_path_factory, words, tags, said):
    assert written(tmp_path_factory, [Sentence(words, tags)], "spans")[1] == said


@pytest.mark.parametrize(
    "word", ["a\tb", "a\nb", "\r", " a", "a ", " ", "", "\0", "-DOCSTART-", "-DOCSTART- x", "\ufeffa"]
)
def test_a_word_that_columns_cannot_hold_is_named(tmp_path, word):
    lines = [{"words": ["a"], "tags": ["O"]}, {"words": ["a", word], "tags": ["O", "O"]}]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(InputError, match=r"f\.jsonl:2: word .* cannot be written in columns"):
        convert_corpus(str(tmp_path / "f.jsonl"), tmp_path / "f.conll", "conll")


def test_every_split_of_a_folder_is_written_and_repairs_are_said(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "eng.train").write_text("1 Ann I-PER\n2 Lee I-PER\n3 Bob B-PER\n")
    (source / "eng.testa").write_text("1 Ann B-PER\n\n2 Lee O\n3 Bob I-PER\n")
    from hybridner.corpora.formats import ColumnFormat

    notes = convert_corpus(str(source), tmp_path / "out", "conll", "BIOES", ColumnFormat(2, 3))
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "train.conll": "Ann\tB-PER\nLee\tE-PER\nBob\tS-PER\n\n",
        "valid.conll": "Ann\tS-PER\n\nLee\tO\nBob\tS-PER\n\n",
    }
    assert [note.partition("/eng.")[2][:28] for note in notes] == [
        "train: scheme IOB1, converte",
        "testa: 1 repair: a tag conti",
    ]
