import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridner.corpora.formats import ColumnFormat
from hybridner.corpora.read import read_corpus, read_file
from hybridner.corpora.split import split_file
from hybridner.errors import InputError

SHARED = os.environ.get("HYBRIDNER_SHARED_DATA")
PLAIN_FILE = "".join(f"-DOCSTART- -X- O\n\nw{i} N B-X\n\nx{i} N O\n\n\n" for i in range(30))


@pytest.fixture
def split(tmp_path_factory):
    """Split a file of this content; return the written bytes by split."""

    def split(content, name="all.txt", **options):
        folder = tmp_path_factory.mktemp("split")
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / "out").mkdir()
        files = split_file(folder / name, folder / "out", **options)
        assert sorted(files.values()) == sorted((folder / "out").iterdir())
        return {name: file.read_bytes() for name, file in files.items()}

    return split


def test_whole_documents_are_drawn_and_every_byte_goes_to_one_file(split):
    files = split(PLAIN_FILE, valid=0.2, test=0.1)
    assert {name: content.count(b"DOCSTART") for name, content in files.items()} == {"train": 21, "valid": 6, "test": 3}
    documents = [document for content in files.values() for document in content.split(b"-DOCSTART-")[1:]]
    order = sorted(documents, key=lambda document: int(document.split()[2][1:]))
    assert b"".join(b"-DOCSTART-" + document for document in order) == PLAIN_FILE.encode()
    for content in files.values():
        numbers = [int(line[1:].split()[0]) for line in content.splitlines() if line[:1] == b"w"]
        assert numbers == sorted(numbers)


def test_the_draw_is_a_function_of_the_seed(split):
    assert split(PLAIN_FILE, seed=3) == split(PLAIN_FILE, seed=3)
    draws = {split(PLAIN_FILE, seed=seed)["test"] for seed in range(5)}
    assert len(draws) == 5


@pytest.mark.parametrize("by", ["document", "sentence"])
def test_what_is_written_is_read_back_as_a_corpus(split, tmp_path, by):
    for name, content in split(PLAIN_FILE, by=by).items():
        (tmp_path / f"{name}.txt").write_bytes(content)
    corpus = read_corpus(str(tmp_path))
    assert sum(report.sentences for report in corpus.reports.values()) == 60
    sizes = {"document": [48, 6, 6], "sentence": [48, 6, 6]}[by]
    assert [corpus.reports[name].sentences for name in ("train", "valid", "test")] == sizes


def test_sentences_keep_the_bounds_of_their_documents(split, tmp_path):
    original = {}
    (tmp_path / "all.txt").write_text(PLAIN_FILE)
    for sentence in read_file(tmp_path / "all.txt")[0]:
        original[sentence.words] = sentence.document
    for content in split(PLAIN_FILE, by="sentence", seed=1).values():
        (tmp_path / "part.txt").write_bytes(content)
        documents = {}
        for sentence in read_file(tmp_path / "part.txt")[0]:
            documents.setdefault(sentence.document, set()).add(original[sentence.words])
        assert all(len(one) == 1 for one in documents.values())
        assert len(documents) == len(set.union(*documents.values()))


def test_documents_that_a_row_closes_are_split_too(split):
    content = "".join(f"a{i}\tO\n\n-DOCSTART-\tO\n" for i in range(10))
    files = split(content)
    assert sorted(b"".join(files.values()).split()) == sorted(content.encode().split())


def test_a_byte_order_mark_and_line_ends_stay(split):
    content = "\ufeff" + "a O\r\n\r\n" * 10
    files = split(content, by="sentence", valid=0.5)
    assert sum(part.count(b"a O\r\n\r\n") for part in files.values()) == 10
    assert sum(part.startswith("\ufeff".encode()) for part in files.values()) == 1


def test_comments_go_with_the_sentence_they_stand_before(split):
    content = "".join(f"# id = {i}\n1\tw{i}\tO\n# inside {i}\n2\tv{i}\tO\n\n" for i in range(10))
    for part in split(content, by="sentence", columns=ColumnFormat(2, 3, "#")).values():
        for block in part.decode().strip().split("\n\n"):
            assert (
                len({line.split()[-1] if line[0] == "#" else line.split("\t")[1][1:] for line in block.splitlines()})
                == 1
            )


def test_lines_of_jsonl_stay_whole(split):
    lines = [json.dumps({"text": f"One {i}. Two.", "spans": []}) + "\n" for i in range(20)]
    for by in ("document", "sentence"):
        files = split("\n".join(lines), "all.jsonl", by=by)
        assert Counter("".join(part.decode() for part in files.values()).splitlines(True)) == Counter(
            lines + ["\n"] * 19
        )
        assert files["test"].count(b"{") == 2


def test_jsonl_without_documents_is_split_by_sentence_alone(split):
    lines = "\n".join(json.dumps({"words": [str(i)], "tags": ["O"]}) for i in range(20))
    with pytest.raises(InputError, match=r"all\.jsonl: 1 document, too few to split by document .* use --by sentence"):
        split(lines, "all.jsonl")
    assert split(lines, "all.jsonl", by="sentence")["valid"].count(b"\n") == 2


def test_a_file_without_documents_says_to_split_by_sentence(split):
    with pytest.raises(InputError, match=r"all\.txt: 1 document, too few .* use --by sentence"):
        split("a O\n\n" * 20)


@pytest.mark.parametrize("content", ["a O\n\nb O\n", ""])
def test_too_few_sentences_are_said(split, content):
    with pytest.raises(InputError, match=r"all\.txt: \d sentences, too few to split"):
        split(content, by="sentence")


def test_a_share_of_0_makes_no_file(split):
    assert list(split(PLAIN_FILE, valid=0)) == ["train", "test"]
    assert list(split(PLAIN_FILE, valid=0, test=0)) == ["train"]


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (1, 0)])
def test_shares_that_leave_nothing_to_train_on_are_refused(split, shares):
    with pytest.raises(InputError, match="expected at least 0, and below 1 in sum"):
        split(PLAIN_FILE, valid=shares[0], test=shares[1])


BLOCKS = st.lists(
    st.sampled_from(["-DOCSTART- O\n", "-DOCSTART- -X- O\n\n", "\n", " \n", "w B-X\n", "w O\nv O\n", "w O\n\n"]),
    max_size=40,
)


@settings(deadline=None)
@given(blocks=BLOCKS, by=st.sampled_from(["document", "sentence"]), final_newline=st.booleans())
def test_no_sentence_is_lost_joined_or_parted(tmp_path_factory, blocks, by, final_newline):
    folder = tmp_path_factory.mktemp("split")
    content = "".join(f"{block}".replace("w ", f"w{i} ").replace("v ", f"v{i} ") for i, block in enumerate(blocks))
    path = folder / "all.txt"
    path.write_text(content if final_newline else content.rstrip("\n"))
    try:
        files = split_file(path, folder, by=by, valid=0.2, test=0.2)
    except InputError:
        return
    before = read_file(path)[0]
    after = [sentence for file in files.values() for sentence in read_file(file)[0]]
    assert Counter((s.words, s.tags) for s in after) == Counter((s.words, s.tags) for s in before)
    if by == "document":
        lines = [line.rstrip() for file in files.values() for line in file.read_text().splitlines()]
        assert Counter(lines) == Counter(line.rstrip() for line in path.read_text().splitlines())


@pytest.mark.skipif(SHARED is None, reason="HYBRIDNER_SHARED_DATA does not name the folder of corpora")
def test_wikigold_is_split_by_document_and_read_back(tmp_path):
    path = Path(SHARED) / "wikigold" / "all.txt"
    files = split_file(path, tmp_path)
    corpus = read_corpus(str(tmp_path))
    assert [corpus.reports[name].documents for name in ("train", "valid", "test")] == [117, 14, 14]
    assert sum(sum(report.entities.values()) for report in corpus.reports.values()) == 3558
    lines = Counter(line for file in files.values() for line in file.read_bytes().splitlines(True))
    assert lines == Counter(path.read_bytes().splitlines(True))
