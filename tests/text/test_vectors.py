"""Vectors of words: every form of file gives the same vectors, a look-up falls back, and bad files are refused."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pytest

from hybridner.errors import InputError
from hybridner.text.vector_files import read_vectors

WORDS = ("the", "Ann", "ann", "0", "0000", "naïve", "at name@domain.com", "3.14", ". . .", "u0")
MATRIX = (np.arange(30, dtype=np.float32).reshape(10, 3) - 7) / 8
TEXT = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, MATRIX.tolist(), strict=True))
HEADER = "10 3\n"


def as_text(folder):
    (folder / "v.txt").write_text(TEXT, encoding="utf-8")
    return folder / "v.txt"


def as_text_with_windows_line_ends_and_trailing_spaces(folder):
    (folder / "v.txt").write_bytes(TEXT.replace("\n", " \r\n").encode())
    return folder / "v.txt"


def as_fasttext(folder):
    (folder / "v.vec").write_text(HEADER + TEXT, encoding="utf-8")
    return folder / "v.vec"


def as_gzip(folder):
    (folder / "v.vec.gz").write_bytes(gzip.compress((HEADER + TEXT).encode()))
    return folder / "v.vec.gz"


def as_npz(folder):
    np.savez_compressed(folder / "v.npz", words=np.array(WORDS), vectors=MATRIX.astype(">f8"))
    return folder / "v.npz"


def as_npy_with_lines(folder):
    np.save(folder / "v.npy", MATRIX)
    (folder / "v.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder / "v.npy"


def as_npy_with_json(folder):
    np.save(folder / "v.npy", MATRIX.astype(np.float16))
    (folder / "v.json").write_text(json.dumps(WORDS))
    return folder / "v.npy"


FORMS = [
    as_text,
    as_text_with_windows_line_ends_and_trailing_spaces,
    as_fasttext,
    as_gzip,
    as_npz,
    as_npy_with_lines,
    as_npy_with_json,
]


def refused(path):
    with pytest.raises(InputError) as caught:
        read_vectors(path)
    return str(caught.value)


def refused_text(folder, text):
    path = folder / "bad.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refused(path).removeprefix(str(path))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_vectors(form, tmp_path):
    vectors = read_vectors(form(tmp_path))
    assert (len(vectors), vectors.size, vectors.num_repeated) == (10, 3, 0)
    rows = vectors.find(WORDS)
    assert rows.tolist() == list(range(10))
    assert vectors.take(rows).dtype == np.float32
    assert np.array_equal(vectors.take(rows), MATRIX)
    assert np.array_equal(np.concatenate(list(vectors.chunks())), MATRIX)


def test_the_digest_is_that_of_words_and_vectors_in_any_form_of_file(tmp_path):
    found = set()
    for form in FORMS:
        (tmp_path / form.__name__).mkdir()
        found.add(read_vectors(form(tmp_path / form.__name__)).digest())
    assert len(found) == 1
    for number, (old, new) in enumerate([("u0", "u1"), ("-0.875", "-0.75")]):
        (tmp_path / f"{number}.txt").write_text(TEXT.replace(old, new), encoding="utf-8")
        found.add(read_vectors(tmp_path / f"{number}.txt").digest())
    assert len(found) == 3


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("Ann", "Ann"),
        ("ANN", "ann"),
        ("THE", "the"),
        ("U7", "u0"),
        ("1984", "0000"),
        ("0", "0"),
        ("at name@domain.com", "at name@domain.com"),
        ("Naïve", "naïve"),
    ],
)
def test_a_word_is_looked_up_as_it_is_then_in_lower_case_then_with_its_digits_as_0(word, found, tmp_path):
    vectors = read_vectors(as_text(tmp_path))
    assert vectors.find([word]).tolist() == [WORDS.index(found)]


@pytest.mark.parametrize("word", ["Bob", "", "an", "nn", "th", "thean", "\ud800", "x" * 10_000])
def test_a_word_without_a_vector_gets_zeros(word, tmp_path):
    vectors = read_vectors(as_text(tmp_path))
    rows = vectors.find([word, "the"])
    assert rows.tolist() == [-1, 0]
    assert np.array_equal(vectors.take(rows[None]), [[[0, 0, 0], MATRIX[0]]])


def test_two_words_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("hybridner.text.vectors._hash", lambda word: len(word))
    vectors = read_vectors(as_text(tmp_path))
    assert vectors.find(["the", "Ann", "Bob", "u0"]).tolist() == [0, -1, -1, 9]


def test_numbers_are_rounded_to_half_precision_in_every_form_of_file(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1 / 3, 1e-9]], np.float64))
    (tmp_path / "v.txt").write_text("a\n")
    (tmp_path / "text").write_text(f"a {1 / 3} 1e-9\n")
    for name in ("v.npy", "text"):
        assert read_vectors(tmp_path / name).take(np.array([0])).tolist() == [[np.float16(1 / 3), 0]]


def test_of_repeated_words_the_first_counts_and_the_others_are_counted(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\na 5 6\na 7 8\n")
    vectors = read_vectors(tmp_path / "v.txt")
    assert vectors.num_repeated == 2
    assert vectors.take(vectors.find(["a", "b"])).tolist() == [[1, 2], [3, 4]]


def test_many_rows_are_read_in_order(tmp_path):
    count = 9000
    (tmp_path / "v.txt").write_text("".join(f"w{i}x {i % 2048} 1\n" for i in range(count)))
    np.savez(tmp_path / "v.npz", words=[f"w{i}x" for i in range(count)], vectors=np.ones((count, 2)))
    for name in ("v.txt", "v.npz"):
        assert read_vectors(tmp_path / name).find([f"w{i}x" for i in range(count)]).tolist() == list(range(count))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\nc 1 2\n", ":2: 1 numbers after the word; expected 2, as in the first row"),
        ("a 1 2\nb 1 2 3\n", ":2: 3 numbers after the word; expected 2"),
        ("a 1 2\nb x 2\n", ":2: 1 numbers after the word; expected 2"),
        ("a 1 2\nb c\n", ":2: 0 numbers after the word; expected 2"),
        ("a 1 2\n\n", ":2: 0 numbers after the word; expected 2"),
        ("2 2\na 1 2\nb 1\n", ":3: 1 numbers after the word; expected 2"),
        ("3 2\na 1 2\nb 1 2\n", ":1: promises 3 words, but 2 follow"),
        ("a 1 2\nb nan 2\n", ":2: a number of 'b' is nan; expected finite numbers"),
        ("1 2\nb 1 -inf\n", ":2: a number of 'b' is -inf"),
        ("a 1 2\nb 1 70000\n", ":2: a number of 'b' is 70000; expected finite numbers of at most 65,504"),
        (
            "a 1 2\nna\xefve 1 2\n".encode("latin-1"),
            ":2: not UTF-8 (byte 2 of the word 'naïve'); save the file as UTF-8",
        ),
        ("the\n", ":1: no numbers after a word"),
        ("", ":1: no numbers after a word"),
        ("0 5\n", ": no vectors in it"),
        (b"\x80\x04\x95" + b"x" * 3_000_000, ":1: no numbers after a word"),
    ],
)
def test_a_bad_line_is_named(text, message, tmp_path):
    assert refused_text(tmp_path, text).startswith(message)


def test_a_missing_file_and_a_cut_one_are_refused(tmp_path):
    assert refused(tmp_path / "none.txt").endswith("none.txt: cannot be read (No such file or directory)")
    whole = as_gzip(tmp_path).read_bytes()
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    assert "cut.gz: damaged (" in refused(tmp_path / "cut.gz")
    (tmp_path / "other.gz").write_text(TEXT)
    assert "other.gz: damaged (Not a gzipped file" in refused(tmp_path / "other.gz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"words": ["a"], "other": [[1.0]]}, "no array 'vectors' in it"),
        ({"words": ["a", "b"], "vectors": [[1.0]]}, "2 words for 1 vectors"),
        ({"words": ["a"], "vectors": [[1]]}, "vectors: an array of int64 [1, 1]; expected floating-point numbers"),
        ({"words": ["a"], "vectors": [1.0]}, "vectors: an array of float64 [1]; expected"),
        ({"words": ["a"], "vectors": np.zeros((1, 0))}, "vectors: an array of float64 [1, 0]; expected"),
        ({"words": [1], "vectors": [[1.0]]}, "words: an array of int64 [1]; expected text [words]"),
        ({"words": np.array(["a"], object), "vectors": [[1.0]]}, "words: an array of object [1]; expected text"),
        ({"words": ["a", "b"], "vectors": [[1.0], [np.nan]]}, "row 2: a number of 'b' is nan"),
        ({"words": ["a", "b"], "vectors": np.ones((2, 2), order="F")}, "in column order; expected"),
    ],
)
def test_a_bad_npz_is_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "v.npz", **arrays)
    assert message in refused(tmp_path / "v.npz")


def test_a_file_of_another_kind_with_the_name_of_an_array_is_refused(tmp_path):
    for name, message in (("v.npz", "damaged (File is not a zip file)"), ("v.npy", "not an array of numpy (")):
        (tmp_path / name).write_text(TEXT)
        assert message in refused(tmp_path / name)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({}, "v.npy: no words beside it; expected v.txt, one on each line, or a list v.json"),
        ({"v.txt": "a\n"}, "v.npy: 1 words for 2 vectors"),
        ({"v.json": '{"a": 1}'}, "v.json: expected a list of words"),
        ({"v.json": '["a",\n1'}, "v.json:2: not JSON"),
        ({"v.json": "[" * 100_000}, "v.json: expected a list of words"),
        ({"v.txt": "a\nb\n"}, "v.npy: row 2: a number of 'b' is inf"),
    ],
)
def test_a_bad_npy_is_refused(beside, message, tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1.0], [np.inf]]))
    for name, text in beside.items():
        (tmp_path / name).write_text(text)
    assert message in refused(tmp_path / "v.npy")


def test_a_cut_npy_is_refused(tmp_path):
    path = as_npy_with_lines(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    assert "ends too early" in refused(path)


PEAK = """
import resource, sys
from pathlib import Path
from hybridner.text.vector_files import read_vectors
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
vectors = read_vectors(Path(sys.argv[1]))
vectors.take(vectors.find([f"w{i}" for i in range(100)]))
vectors.digest()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_a_large_matrix_does_not_enter_memory(tmp_path):
    count, size = 64 * 1024, 512
    matrix = np.lib.format.open_memmap(tmp_path / "v.npy", "w+", np.float32, (count, size))
    matrix.flush()
    del matrix
    (tmp_path / "v.txt").write_text("\n".join(f"w{i}" for i in range(count)))
    found = subprocess.run([sys.executable, "-c", PEAK, tmp_path / "v.npy"], capture_output=True, check=True, text=True)
    assert int(found.stdout) < count * size * 4 / 2
