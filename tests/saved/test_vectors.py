"""The vectors of a saved model: all words of the file, in half precision, in a file that opens without being read."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hybridner.config.model import EncoderConfig, ModelConfig
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.export.convert import convert
from hybridner.export.push import push_model
from hybridner.files.hub import VECTORS
from hybridner.model.weights import initial_weights
from hybridner.parity.verify import compare_models
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel
from hybridner.saved.open import open_model
from hybridner.saved.vectors import open_vectors, save_vectors
from hybridner.text.vector_files import read_vectors
from hybridner.text.vocabulary import train_vocabulary

TEXT = "the 1 2\nriver 0.333 4\nthe 5 6\nn\u00fc 7 -8\n"
LABELS = ("O", "B-LOC", "I-LOC")


def vectors_of(folder, text=TEXT, name="v.txt"):
    (folder / name).write_text(text, encoding="utf-8")
    return read_vectors(folder / name)


def model_with(vectors):
    vocabulary = train_vocabulary([Sentence(("the", "Velmora"))], 10)
    vocabulary.affix_rows, vocabulary.vectors = 16, vectors
    config = ModelConfig(len(LABELS), vocabulary.model_input(64), EncoderConfig(0, 16, 2, 16), lstm=None)
    return SavedModel(config, LABELS, vocabulary, initial_weights(config, 1), {"data": "sample"})


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "saved", model_with(vectors_of(tmp_path)))
    return tmp_path / "saved"


def refused(folder):
    with pytest.raises(InputError) as caught:
        open_model(folder)
    return str(caught.value)


def test_what_was_saved_is_what_opens(tmp_path):
    vectors = vectors_of(tmp_path)
    save_vectors(tmp_path / VECTORS, vectors)
    opened = open_vectors(tmp_path / VECTORS)
    words = ["the", "river", "n\u00fc", "N\u00dc", "Velmora"]
    assert opened.find(words).tolist() == vectors.find(words).tolist() == [0, 1, 3, 3, -1]
    assert np.array_equal(opened.take(np.arange(4)), vectors.take(np.arange(4)))
    assert (opened.num_repeated, opened.digest()) == (1, vectors.digest())


def test_the_file_is_a_safetensors_file_with_aligned_tensors_that_its_library_reads(tmp_path):
    vectors = vectors_of(tmp_path)
    save_vectors(tmp_path / VECTORS, vectors)
    found = load_file(tmp_path / VECTORS)
    assert found["vectors"].dtype == np.float16
    assert np.array_equal(found["vectors"], next(vectors.chunks()))
    for name, value in vectors.index._asdict().items():
        assert np.array_equal(found[name], value)
        assert found[name].dtype == value.dtype
        assert getattr(open_vectors(tmp_path / VECTORS).index, name).flags.aligned


def test_the_same_vectors_are_the_same_bytes_from_whatever_file_they_come(tmp_path):
    save_vectors(tmp_path / "a", vectors_of(tmp_path))
    save_vectors(tmp_path / "b", open_vectors(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_opens_with_its_vectors_after_the_users_file_is_gone(folder):
    (folder.parent / "v.txt").unlink()
    opened = open_model(folder)
    assert opened.config.input.vector_size == 2
    assert opened.tokenizer.vectors.find(["river", "Velmora"]).tolist() == [1, -1]


def test_a_folder_without_the_vectors_that_its_model_needs_is_refused(folder):
    (folder / VECTORS).unlink()
    assert refused(folder) == f"{folder / VECTORS}: is missing; copy the whole folder again from its source"


def test_vectors_of_another_size_are_refused(folder):
    save_vectors(folder / VECTORS, vectors_of(folder.parent, "the 1 2 3\n"))
    assert refused(folder).endswith("vector_size is 3, but 2 in the model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.array([0, 1, 4], np.int32)}, "damaged (a word has no row)"),
        ({"rows": np.array([0, 1, -1], np.int32)}, "damaged (a word has no row)"),
        ({"rows": np.zeros(2, np.int32)}, "not the vectors of a model"),
        ({"ends": np.zeros(3, np.int64)}, "not the vectors of a model"),
        ({"vectors": np.zeros((4, 2), np.float32)}, "not the vectors of a model"),
        ({"vectors": np.zeros((4, 0), np.float16)}, "not the vectors of a model"),
        ({"text": np.zeros((1, 1), np.uint8)}, "not the vectors of a model"),
        ({"more": np.zeros(1, np.uint8)}, "not the vectors of a model"),
    ],
)
def test_damaged_vectors_are_refused(folder, change, message):
    save_file({**load_file(folder / VECTORS), **change}, folder / VECTORS)
    assert refused(folder).startswith(f"{folder / VECTORS}: {message}")


def test_cut_vectors_are_refused(folder):
    path = folder / VECTORS
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(folder).startswith(f"{path}: cannot be read (")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    shutil.move(folder / VECTORS, tmp_path / "elsewhere")
    (folder / VECTORS).symlink_to(tmp_path / "elsewhere")
    assert "out of" in refused(folder)


@pytest.mark.parametrize("form", ["flax", "torch"])
def test_conversion_copies_the_vectors(folder, tmp_path, form):
    convert(folder, tmp_path / "converted", form)
    assert (tmp_path / "converted" / VECTORS).read_bytes() == (folder / VECTORS).read_bytes()


def test_vectors_are_published_with_their_model(folder):
    assert f"  {VECTORS}  {(folder / VECTORS).stat().st_size:,} bytes" in push_model(folder, "me/names", dry_run=True)


def test_models_of_other_vectors_differ(tmp_path):
    a, b = model_with(vectors_of(tmp_path)), model_with(vectors_of(tmp_path, TEXT.replace("0.333", "0.3"), "w.txt"))
    assert compare_models(a, a).passed
    assert compare_models(a, b).where == "the vectors of words"
