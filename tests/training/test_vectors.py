"""Training with vectors of words: the model has them, either backend opens it, and a resumed run finds them again."""

import shutil

import numpy as np
import pytest

import hybridner
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.files.hub import VECTORS
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from tests.small_runs import NAMES, SMALL

OPTIONS = {**SMALL, "input": "words", "lstm": "bidirectional", "head": "crf", "epochs": 2, "device": "cpu"}
UNSEEN = ("Zoe", "Yann")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rows = [f"the O\n{NAMES[i % 12]} B-PER\nsleeps O\n\nin O\n{NAMES[i * 5 % 12]} B-LOC\n\n" for i in range(30)]
    for split, part in (("train", rows[:20]), ("valid", rows[20:25]), ("test", rows[25:])):
        (folder / f"{split}.txt").write_text("".join(part))
    return folder


def write_vectors(path, scale=1.0):
    rng = np.random.default_rng(3)
    words = (*(name.lower() for name in (*NAMES, *UNSEEN)), "the")
    rows = [f"{word} {' '.join(f'{scale * x:.4f}' for x in rng.normal(size=4))}\n" for word in words]
    path.write_text("".join([*rows, rows[0]]))
    return path


@pytest.fixture
def vectors(tmp_path):
    return write_vectors(tmp_path / "glove.4d.txt")


def train(backend, corpus, output, vectors, **options):
    return hybridner.train(backend, data=corpus, output=output, vectors=vectors, **{**OPTIONS, **options}).folder


@pytest.mark.parametrize("backend", ["flax", "torch"])
def test_a_run_with_vectors_leaves_a_model_that_either_backend_opens(backend, corpus, vectors, tmp_path, capsys):
    folder = train(backend, corpus, tmp_path / "run", vectors, vectors_license="PDDL")
    vectors.unlink()
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{vectors}: 1 of 16 rows repeat a word; the first vector of each word counts" in printed
    assert f"vectors {vectors}: 15 words, 4 numbers each; 60.0% of the words of train have one" in printed
    sentences = [("the", name, "sleeps") for name in (NAMES[0], *UNSEEN, "Unknown")]
    taggers = [hybridner.load(folder, one, device="cpu") for one in ("flax", "torch")]
    a, b = (tagger.word_logits(sentences)[0] for tagger in taggers)
    for one, other in zip(a, b, strict=True):
        assert abs(one - other).max() < 1e-4
    rows = taggers[0].encode(Sentence(words) for words in sentences).types.vector_rows
    assert rows.tolist() == [-1, 14, 0, -1, 12, 13, -1]  # padding, the, Anna, sleeps, Zoe, Yann, Unknown
    card = (folder / "best" / "README.md").read_text()
    assert "- vectors of words: `glove.4d.txt`, frozen (15 words, 4 numbers each)\n" in card
    assert "- licence of the vectors: PDDL\n" in card
    assert str(tmp_path) not in card


def test_vectors_for_a_model_that_reads_pieces_are_refused(corpus, vectors, tmp_path):
    with pytest.raises(InputError, match="--vectors is for models that read words; leave it out, or choose --preset"):
        hybridner.train("torch", data=corpus, output=tmp_path / "run", vectors=vectors, **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_missing_vectors_file_is_refused_before_the_run_has_a_folder(corpus, tmp_path):
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        train("torch", corpus, tmp_path / "run", tmp_path / "none.txt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("backend", ["flax", "torch"])
def test_a_resumed_run_takes_the_vectors_of_its_best_model(backend, corpus, vectors, tmp_path):
    whole = train(backend, corpus, tmp_path / "whole", vectors)
    train(backend, corpus, tmp_path / "parts", vectors, epochs=1)
    vectors.unlink()
    hybridner.train(backend, output=tmp_path / "parts", resume=True, epochs=2)
    a, b = (newest_state(backend, folder / "checkpoints").state for folder in (whole, tmp_path / "parts"))
    assert a.step == b.step
    assert bitwise_difference(a.weights, b.weights) is None
    for name in (VECTORS, "model.safetensors"):
        assert (whole / "best" / name).read_bytes() == (tmp_path / "parts" / "best" / name).read_bytes()


@pytest.fixture
def without_best(corpus, vectors, tmp_path):
    """Train an epoch, and remove the best model, as if the run had been stopped before there was one."""
    train("torch", corpus, tmp_path / "run", vectors, epochs=1)
    shutil.rmtree(tmp_path / "run" / "best")
    return tmp_path / "run"


def resume(folder, **options):
    return hybridner.train("torch", output=folder, resume=True, epochs=2, **options).folder


def test_a_resumed_run_without_a_best_model_reads_the_file_again(without_best):
    assert (resume(without_best) / "best" / VECTORS).is_file()


def test_a_resumed_run_whose_vectors_are_gone_is_refused_in_one_line(without_best, vectors):
    vectors.unlink()
    with pytest.raises(InputError) as caught:
        resume(without_best)
    assert str(caught.value) == (
        f"{vectors}: is gone, and {without_best / 'best'} has no copy of these vectors yet; put the file back to "
        "resume the run"
    )


def test_a_resumed_run_whose_vectors_have_changed_is_refused_unless_allowed(without_best, vectors):
    write_vectors(vectors, 2.0)
    with pytest.raises(InputError, match=r"the data have changed since step \d+: the vectors of words \(.*glove"):
        resume(without_best)
    resume(without_best, allow_changed_data=True)


def test_a_dry_run_reads_vectors_and_writes_nothing(corpus, vectors, tmp_path, capsys):
    from hybridner.cli import run

    arguments = {"data": corpus, "vectors": vectors, "output": tmp_path / "run", **OPTIONS}
    typed = [word for name, value in arguments.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    assert run(["train", "--backend", "torch", "--dry-run", *typed]) == 0
    assert "15 words, 4 numbers each" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
