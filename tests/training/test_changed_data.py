"""Resuming a run after its data have changed."""

import hashlib
import json

import pytest

import hybridner
from hybridner.errors import InputError
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from tests.small_runs import NAMES, SMALL

ROW = "the O\nmayor O\n{} B-PER\nsleeps O\n\n"
BATCHES = 3
BOTH = pytest.mark.parametrize("backend", ["torch", pytest.param("flax", marks=pytest.mark.slow)], indirect=True)


@pytest.fixture
def backend(request):
    return getattr(request, "param", "torch")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [ROW.format(name) for name in NAMES * 3]
    (folder / "train.txt").write_text("".join(rows))
    (folder / "valid.txt").write_text("".join(rows[:12]))
    return folder


@pytest.fixture
def run(backend, data, tmp_path):
    """Make a run that stopped in its first epoch."""
    hybridner.train(backend, data=str(data), output=tmp_path / "run", max_steps=2, epochs=2, parallel="jit", **SMALL)
    return RunDir(tmp_path / "run")


def append(path, rows):
    path.write_text(path.read_text() + rows)


def resume(backend, run, **options):
    return hybridner.train(backend, output=run.folder, resume=True, max_steps=9, **options)


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@BOTH
def test_changed_data_are_refused_and_nothing_of_the_run_is_touched(backend, run, data):
    append(data / "train.txt", ROW.format("Ørjan"))
    before = files(run.folder)
    with pytest.raises(InputError) as refused:
        resume(backend, run)
    assert str(refused.value) == (
        f"{run.folder}: the data have changed since step 2: the train split ({data}/train.txt); undo the change, start "
        "a new run with another --output, or accept it with --allow-changed-data"
    )
    assert files(run.folder) == before


@pytest.mark.slow
@BOTH
def test_changed_data_that_are_allowed_are_reported_and_keep_the_runs_pieces(backend, run, data, capsys):
    pieces = run.tokenizer.read_bytes()
    append(data / "train.txt", ROW.format("Ørjan"))
    capsys.readouterr()
    # The interrupted epoch starts again: two epochs of four batches follow the two steps.
    assert resume(backend, run, allow_changed_data=True).step == 9
    said = capsys.readouterr().out
    assert said.count(f"the data have changed since step 2: the train split ({data}/train.txt); allowed") == 1
    assert run.tokenizer.read_bytes() == pieces
    assert (run.best / "tokenizer.json").read_bytes() == pieces
    assert resume(backend, run).step == 9
    assert "have changed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("split", "change"),
    [
        ("valid", lambda text: text.replace("Anna", "Anne")),
        ("train", lambda text: text.replace("B-PER", "I-PER", 1)[:-1]),
        ("train", lambda text: f"{text}-DOCSTART- O\n\n"),
    ],
    ids=["a word", "only the scheme", "an empty document"],
)
def test_what_is_read_counts_and_not_the_bytes(backend, run, data, split, change):
    path = data / f"{split}.txt"
    path.write_text(change(path.read_text()))
    if split == "train":
        assert resume(backend, run).step == 6
        return
    with pytest.raises(InputError, match=rf"step 2: the dev split \({path}\); "):
        resume(backend, run)


def test_document_borders_count(backend, run, data):
    path = data / "train.txt"
    path.write_text(path.read_text().replace("the O", "-DOCSTART- O\n\nthe O", 3))
    with pytest.raises(InputError, match=r"the data have changed since step 2: the train split"):
        resume(backend, run)


def test_a_split_that_was_added_counts(backend, run, data):
    (data / "test.txt").write_text(ROW.format("Anna"))
    with pytest.raises(InputError, match=rf"the test split \({data}/test.txt\); "):
        resume(backend, run)


def test_other_labels_are_refused_even_then(backend, run, data):
    append(data / "train.txt", "the O\nRhine B-LOC\n\n")
    before = files(run.best)
    with pytest.raises(InputError, match="made for labels"):
        resume(backend, run, allow_changed_data=True)
    assert files(run.best) == before


def test_a_longer_train_split_makes_the_epochs_left_longer(backend, data, tmp_path):
    options = {"data": str(data), "output": tmp_path / "run", "epochs": 2, "parallel": "jit", **SMALL}
    assert hybridner.train(backend, **options).step == 2 * BATCHES
    append(data / "train.txt", "".join(ROW.format(name) for name in NAMES * 2))
    options = {"output": tmp_path / "run", "resume": True, "allow_changed_data": True, "epochs": 4}
    assert hybridner.train(backend, **options).step == 2 * BATCHES + 2 * (BATCHES + 2)
    records = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    assert [r["step"] for r in records if r["event"] == "epoch"] == [3, 6, 11, 16]
    assert newest_state(backend, tmp_path / "run/checkpoints").state.step == 16


def test_a_run_without_a_digest_resumes_with_its_own_pieces(backend, run, data):
    path = next(run.checkpoints.iterdir()) / "progress.json"
    saved = json.loads(path.read_text())
    del saved["data"]
    path.write_text(json.dumps(saved))
    sums = path.with_name("checksums.json")
    entry = {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    sums.write_text(json.dumps({**json.loads(sums.read_text()), "progress.json": entry}))
    pieces = run.tokenizer.read_bytes()
    append(data / "train.txt", ROW.format("Ørjan"))
    assert resume(backend, run).step == 2 * (BATCHES + 1)
    assert (run.best / "tokenizer.json").read_bytes() == pieces
