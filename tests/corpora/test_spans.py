import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.formats import read_sentences
from hybridner.corpora.issues import Issues
from hybridner.corpora.schemes import entity_spans
from hybridner.corpora.spans import TextSpan, tag_text
from hybridner.errors import InputError
from hybridner.text.words import split_sentences, split_words

TEXT = "Ann Lee met Bob. He lives in St. Albans, it's said."
SPANS = [[0, 7, "PER"], [12, 15, "PER"], [29, 39, "LOC"]]
WORDS = (("Ann", "Lee", "met", "Bob", "."), ("He", "lives", "in", "St.", "Albans", ",", "it", "'s", "said", "."))
TAGS = (("B-PER", "I-PER", "O", "B-PER", "O"), ("O", "O", "O", "B-LOC", "I-LOC", "O", "O", "O", "O", "O"))


@pytest.fixture
def read(tmp_path):
    def read(*records, **options):
        path = tmp_path / "f.jsonl"
        path.write_text("\n".join(json.dumps(record) for record in records))
        return list(read_sentences(path, **options))

    return read


@pytest.fixture
def message(read):
    def message(*records, **options):
        with pytest.raises(InputError) as caught:
            read(*records, **options)
        return str(caught.value).partition("f.jsonl:")[2]

    return message


@pytest.mark.parametrize("key", ["spans", "entities"])
@pytest.mark.parametrize("as_objects", [False, True])
def test_a_text_is_cut_into_sentences_and_words_and_its_spans_become_tags(read, key, as_objects):
    spans = [dict(zip(TextSpan._fields, span, strict=True)) for span in SPANS] if as_objects else SPANS
    sentences = read({"text": TEXT, key: spans[::-1]})
    assert tuple(s.words for s in sentences) == WORDS
    assert tuple(s.tags for s in sentences) == TAGS
    assert {(s.document, s.line) for s in sentences} == {(0, 1)}


def test_what_predict_prints_can_be_read(read):
    words = [{"text": "Ann", "start": 0, "end": 3}]
    entities = [{"text": "Ann", "label": "PER", "start": 0, "end": 3, "score": 0.9}]
    (sentence,) = read({"text": "Ann", "words": words, "tags": ["B-PER"], "entities": entities})
    assert (sentence.words, sentence.tags) == (("Ann",), ("B-PER",))


def test_words_that_are_strings_are_taken_as_they_are(read):
    (sentence,) = read({"text": "it's", "words": ["it's"], "tags": ["O"], "entities": []})
    assert sentence.words == ("it's",)


def test_a_text_is_a_document_unless_it_says_which_it_belongs_to(read):
    record = {"text": TEXT, "spans": []}
    assert [s.document for s in read(record, record)] == [0, 0, 1, 1]
    assert [s.document for s in read({**record, "document": 7}, {**record, "document": 7})] == [0, 0, 0, 0]
    words = {"words": ["a"], "tags": ["O"]}
    assert [s.document for s in read(words, record, words, words)] == [0, 1, 1, 2, 2]


def test_no_sentence_ends_inside_a_span(read):
    text = "He read Who is it? Me. It rained."
    assert len(read({"text": text, "spans": []})) == 3
    joined, last = read({"text": text, "spans": [[8, 22, "WORK"]]})
    assert entity_spans(joined.tags) == [("WORK", 2, 8)]
    assert last.words == ("It", "rained", ".")


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ([0, 6, "PER"], "span 0:6 'Ann Le' (PER) does not fall on word boundaries; the nearest words: 'Ann' 0:3, 'L"),
        ([1, 3, "PER"], "span 1:3 'nn' (PER) does not fall on word boundaries; the nearest words: 'Ann' 0:3;"),
        ([3, 7, "PER"], "span 3:7 ' Lee' (PER) does not fall on word boundaries; the nearest words: 'Lee' 4:7;"),
        ([3, 4, "PER"], "the nearest words: 'Ann' 0:3, 'Lee' 4:7;"),
    ],
)  # fmt: skip
def test_a_span_off_the_words_is_named_with_the_nearest_words(message, span, said):
    text = message({"text": TEXT, "spans": []}, {"text": TEXT, "spans": [span]})
    assert text.startswith("2: ")
    assert said in text
    assert text.endswith("correct the span, or leave such spans out with --misaligned drop")


def test_spans_off_the_words_can_be_left_out_and_are_counted(read):
    issues = Issues()
    sentences = read({"text": TEXT, "spans": [[0, 6, "PER"], *SPANS[1:]]}, misaligned="drop", issues=issues)
    assert [entity_spans(s.tags) for s in sentences] == [[("PER", 3, 4)], [("LOC", 3, 5)]]
    assert issues.dropped == 1
    assert "f.jsonl:1: span 0:6 'Ann Le' (PER)" in issues.first_dropped[0]


@pytest.mark.parametrize(
    ("spans", "said"),
    [
        ([[0, 7, "PER"], [4, 7, "LOC"]], "span 0:7 'Ann Lee' (PER) and span 4:7 'Lee' (LOC) overlap"),
        ([[0, 3, "PER"], [0, 3, "PER"]], "overlap"),
        ([[3, 3, "PER"]], "span 3:3 '' (PER) is empty or leaves the text of 51 characters"),
        ([[7, 4, "PER"]], "span 7:4 '' (PER) is empty"),
        ([[-3, 3, "PER"]], "span -3:3 '' (PER) is empty or leaves the text"),
        ([[40, 52, "PER"]], "(PER) is empty or leaves the text of 51 characters"),
        (
            [[0, 3.0, "PER"]],
            "[0, 3.0, 'PER'] is no span; expected a start and an end, in whole characters, and a label",
        ),
        ([[True, 3, "PER"]], "is no span"),
        ([[0, 3, ""]], "is no span"),
        ([[0, 3, "a b"]], "is no span; expected a start and an end, in whole characters, and a label without white"),
        ([[0, 3, None]], "is no span"),
        ([[0, 3]], "[0, 3] is no span"),
        ([{"start": 0, "label": "PER"}], "is no span"),
        (["PER"], "is no span"),
        ({"start": 0}, "is not a list of spans"),
    ],
)
def test_a_span_that_cannot_be_is_named(message, spans, said):
    text = message({"text": TEXT, "entities": spans})
    assert text.startswith("1: 'entities'")
    assert said in text


@pytest.mark.parametrize("record", [{"text": "", "spans": []}, {"text": " \n", "spans": []}])
def test_a_text_without_a_word_is_refused(message, record):
    assert message(record) == "1: no word in it; take the line out"


def test_a_text_that_is_no_string_is_refused(message):
    assert message({"text": ["a"], "spans": []}) == "1: 'text' is not a string"


@st.composite
def texts_with_spans(draw):
    """Draw a text, and spans that each cover some of its words."""
    text = draw(st.text(st.sampled_from("abA .'’-\n日é1,"), max_size=40))
    words = [word for start, end in split_sentences(text) for word in split_words(text[start:end], start)]
    spans, at = [], 0
    while at < len(words):
        length, gap = draw(st.integers(1, 3)), draw(st.integers(0, 3))
        last = min(at + length, len(words)) - 1
        spans.append(TextSpan(words[at].start, words[last].end, draw(st.sampled_from(["A", "B-C"]))))
        at = last + 1 + gap
    return text, spans


@settings(deadline=None)
@given(texts_with_spans())
def test_every_span_comes_back_as_an_entity_of_the_same_text(given):
    text, spans = given
    issues = Issues()
    sentences = tag_text(text, spans, "", "drop", issues)
    found = [
        (label, "".join(words[first:stop])) for words, tags in sentences for label, first, stop in entity_spans(tags)
    ]
    aligned = [(span.label, "".join(text[span.start : span.end].split())) for span in spans]
    # Joining sentences may split a word such as "a." differently; misaligned spans are counted.
    assert len(found) == len(aligned) - issues.dropped
    if not issues.dropped:
        assert found == aligned
