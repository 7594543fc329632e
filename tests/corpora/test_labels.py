import pytest

from hybridner.corpora.labels import labels_of, read_labels
from hybridner.errors import InputError


def test_the_four_conll_types_come_in_their_usual_order():
    labels = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
    assert labels_of(["MISC", "LOC", "PER", "ORG", "PER"]) == labels


@pytest.mark.parametrize(
    ("types", "labels"),
    [
        (["PER", "LOC"], ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")),
        (["b", "a", "B"], ("O", "B-B", "I-B", "B-a", "I-a", "B-b", "I-b")),
        ([], ("O",)),
    ],
)
def test_other_types_are_sorted_and_have_both_labels_always(types, labels):
    assert labels_of(types) == labels


def test_a_labels_file_holds_one_a_line(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffO\r\nB-PER\r\nI-PER".encode())
    assert read_labels(path) == ("O", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the first label is 'missing', expected 'O'"),
        ("B-PER\nI-PER\nO\n", "the first label is 'B-PER', expected 'O'"),
        ("O\nB-PER\nI-PER\nB-PER\n", "label 'B-PER' appears twice"),
        ("O\nB-PER\n", "label 'B-PER' has no 'I-PER'"),
        ("O\nPER\n", "label 2 is 'PER', expected 'B-TYPE' or 'I-TYPE'"),
        ("O\nB-\n", "label 2 is 'B-'"),
        ("O\nO\n", "label 2 is 'O'"),
    ],
)
def test_a_file_of_other_labels_is_refused(tmp_path, content, words):
    path = tmp_path / "labels.txt"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"{path}: {words}")


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), (b"\xff", "not UTF-8")])
def test_a_labels_file_that_cannot_be_read_is_named(tmp_path, content, said):
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"labels\.txt: {said}"):
        read_labels(path)
