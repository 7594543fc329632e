import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from hybridner.corpora.schemes import (
    SCHEMES,
    SchemeDetector,
    check_tag,
    entity_spans,
    from_bio,
    invalid_transitions,
    to_bio,
)
from hybridner.errors import InputError

# "Ann Lee Bob met Oslo": two adjacent people, then a place.
BIO = ("B-PER", "I-PER", "B-PER", "O", "B-LOC")
SAME_IN = {
    "IOB1": ("I-PER", "I-PER", "B-PER", "O", "I-LOC"),
    "BIO": BIO,
    "BIOES": ("B-PER", "E-PER", "S-PER", "O", "S-LOC"),
    "BILOU": ("B-PER", "L-PER", "U-PER", "O", "U-LOC"),
}


def scheme_of(*sentences):
    detector = SchemeDetector()
    for number, tags in enumerate(sentences, 1):
        detector.add(tags, f"f.txt:{number}")
    return detector.scheme()


@pytest.mark.parametrize("scheme", SAME_IN)
def test_each_scheme_is_recognised_and_gives_the_same_bio_without_repairs(scheme):
    assert scheme_of(SAME_IN[scheme]) == scheme
    assert to_bio(SAME_IN[scheme], scheme) == (BIO, 0)


def test_a_file_with_inside_tags_only_is_io_and_neighbours_of_one_type_are_one_entity():
    tags = ("I-PER", "I-PER", "I-LOC", "O")
    assert scheme_of(tags) == "IO"
    assert to_bio(tags, "IO") == (("B-PER", "I-PER", "B-LOC", "O"), 0)


@pytest.mark.parametrize("sentences", [[("O", "O")], [()], []])
def test_a_file_without_an_entity_is_bio(sentences):
    assert scheme_of(*sentences) == "BIO"


@pytest.mark.parametrize("begin", [("O", "B-PER"), ("B-PER",), ("I-LOC", "B-PER")])
def test_one_begin_that_follows_no_word_of_its_type_makes_stray_insides_repairs_of_bio(begin):
    stray = ("O", "I-PER", "B-PER")
    assert scheme_of(stray, begin) == "BIO"
    assert to_bio(stray, "BIO") == (("O", "B-PER", "B-PER"), 1)


def test_one_begin_between_two_entities_of_a_type_makes_a_file_iob1():
    assert scheme_of(("I-LOC", "O"), ("I-PER", "B-PER", "I-PER")) == "IOB1"


@pytest.mark.parametrize(
    ("tags", "bio", "repairs"),
    [
        (("I-PER", "I-PER"), ("B-PER", "I-PER"), 1),
        (("B-PER", "I-LOC", "I-LOC"), ("B-PER", "B-LOC", "I-LOC"), 1),
        (("B-PER", "O", "I-PER"), ("B-PER", "O", "B-PER"), 1),
        (("I-A", "I-B", "I-A"), ("B-A", "B-B", "B-A"), 3),
    ],
)
def test_an_inside_tag_with_nothing_of_its_type_before_it_is_a_counted_repair_in_bio(tags, bio, repairs):
    assert to_bio(tags, "BIO") == (bio, repairs)
    assert invalid_transitions(tags) == repairs


@pytest.mark.parametrize(("scheme", "end", "single"), [("BIOES", "E", "S"), ("BILOU", "L", "U")])
def test_an_entity_is_over_after_its_last_word(scheme, end, single):
    assert to_bio((f"{single}-PER", "I-PER"), scheme) == (("B-PER", "B-PER"), 1)
    assert to_bio(("B-PER", f"{end}-PER", f"{end}-PER"), scheme) == (("B-PER", "I-PER", "B-PER"), 1)


@pytest.mark.parametrize(
    ("tags", "repairs"),
    [
        (("B-PER", "O"), 1),
        (("B-PER", "I-PER"), 1),
        (("B-PER", "E-LOC"), 2),
        (("B-PER", "S-PER"), 1),
        (("B-PER", "I-PER", "B-LOC", "E-LOC"), 1),
        (("I-PER",), 1),
    ],
)
def test_an_entity_that_bioes_leaves_open_is_a_counted_repair_and_ends_there(tags, repairs):
    assert to_bio(tags, "BIOES")[1] == repairs
    assert to_bio([tag.replace("E-", "L-").replace("S-", "U-") for tag in tags], "BILOU")[1] == repairs
    assert invalid_transitions(to_bio(tags, "BIOES")[0]) == 0


def test_bioes_beside_bilou_names_both_places():
    with pytest.raises(InputError, match=r"f\.txt:2.* f\.txt:1.*|f\.txt:1.* \(f\.txt:2\)"):
        scheme_of(("S-PER",), ("U-PER",))


@pytest.mark.parametrize(
    "tag", ["PER", "B_PER", "b-per", "o", "B-", "", "LABEL_0", "B-PER LOC", "-PER", "X-PER", "O-PER", "B-\ud800"]
)
def test_a_tag_of_another_shape_is_shown_with_its_place_and_what_was_expected(tag):
    with pytest.raises(InputError) as caught:
        check_tag(tag, "f.txt:7")
    assert str(caught.value).startswith(f"f.txt:7: tag {tag!r}; expected O, or B-TYPE")


@pytest.mark.parametrize("tag", ["O", "B-PER", "I-creative-work", "S-a", "E-a", "L-a", "U-a", "B-地名"])
def test_a_tag_of_the_right_shape_passes(tag):
    check_tag(tag, "f.txt:7")


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ((), []),
        (BIO, [("PER", 0, 2), ("PER", 2, 3), ("LOC", 4, 5)]),
        (("I-PER", "I-PER"), [("PER", 0, 2)]),
        (("B-PER", "I-LOC"), [("PER", 0, 1), ("LOC", 1, 2)]),
        (("B-a-b", "I-a-b", "I-a"), [("a-b", 0, 2), ("a", 2, 3)]),
    ],
)
def test_spans_are_type_first_word_and_word_after_the_last(tags, spans):
    assert entity_spans(tags) == spans


TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B-C", "I-B-C"]), max_size=12)
SPANS = st.lists(st.tuples(st.sampled_from(["A", "B-C"]), st.integers(1, 4), st.integers(0, 2)), max_size=6)


def written_in(scheme, spans):
    """Return the tags of entities, each given as type, length and number of words to the next."""
    tags, before = [], ""
    for kind, length, gap in spans:
        begin, end, single = {"BIOES": "BES", "BILOU": "BLU"}.get(scheme, "BIB")
        if scheme == "IOB1" and before != kind:
            begin = single = "I"
        middle = ["I"] * (length - 2)
        prefixes = [single] if length == 1 else [begin, *middle, end]
        tags += [f"{prefix}-{kind}" for prefix in prefixes] + ["O"] * gap
        before = "" if gap else kind
    return tags


@pytest.mark.parametrize("scheme", SAME_IN)
@settings(deadline=None)
@given(spans=SPANS)
def test_entities_written_in_any_scheme_give_the_same_bio_without_repairs(scheme, spans):
    tags = written_in(scheme, spans)
    found = scheme_of(tags)
    assert found == (scheme if spans else "BIO") or (scheme, found) == ("IOB1", "IO")
    bio, repairs = to_bio(tags, found)
    assert (list(bio), repairs) == (written_in("BIO", spans), 0)
    assert len(entity_spans(bio)) == len(spans)


@settings(deadline=None)
@given(tags=TAGS)
def test_any_tags_have_the_entities_that_seqeval_finds(tags):
    assert entity_spans(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]


@settings(deadline=None)
@given(tags=TAGS)
def test_conversion_keeps_every_entity_and_leaves_no_invalid_transition(tags):
    bio, repairs = to_bio(tags, "BIO")
    assert entity_spans(bio) == entity_spans(tags)
    assert invalid_transitions(bio) == 0
    assert repairs == invalid_transitions(tags) == sum(a != b for a, b in zip(tags, bio, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(deadline=None)
@given(spans=SPANS)
def test_bio_written_in_a_scheme_is_what_that_scheme_writes(scheme, spans):
    bio = written_in("BIO", spans)
    written = from_bio(bio, scheme)
    if scheme == "IO":
        assert written == tuple(tag.replace("B-", "I-", 1) if tag[:2] == "B-" else tag for tag in bio)
    else:
        assert list(written) == written_in(scheme, spans)
        assert to_bio(written, scheme) == (tuple(bio), 0)
