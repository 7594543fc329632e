"""The checkpoints of a run in progress, and a run resumed from one."""

import dataclasses
import json
import shutil

import pytest

import hybridner
from hybridner.corpora.sample import sample_sentences
from hybridner.errors import InputError
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.model import model_config
from hybridner.saved.open import open_model

OPTIONS = {
    "preset": "tiny",
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 256,
    "batch_size": 10,
    "epochs": 3,
    "log_every": 1,
}
BATCHES = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, count in (("train", 10 * BATCHES), ("valid", 10), ("test", 10)):
        sentences = list(sample_sentences(split))[:count]
        rows = ["".join(f"{w}\t{t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in sentences]
        (folder / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    run = RunDir(tmp_path_factory.mktemp("whole") / "run")
    hybridner.train("torch", data=corpus, output=run.folder, keep_checkpoints=99, **OPTIONS)
    return run


@pytest.fixture
def killed(whole, tmp_path):
    """Return the run as it was when killed in its last epoch."""
    run = RunDir(tmp_path / "killed")
    shutil.copytree(whole.folder, run.folder)
    shutil.rmtree(run.checkpoints / str(3 * BATCHES))
    return run


def lines(run):
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in ("seconds", "pieces_per_second")} for record in records]


def resume(run):
    return hybridner.train("torch", output=run.folder, resume=True)


def enough(loop):
    raise InputError("enough")


def best_epoch(run, changed=lambda epoch: epoch):
    """Return the best model's epoch in the newest checkpoint, before a test changes it."""
    state, progress, _ = newest_state("torch", run.checkpoints)
    best = progress["progress"]["best"]
    best["epoch"] = changed(best["epoch"])
    best["step"] = best["epoch"] * BATCHES
    store = open_checkpoints("torch", run.checkpoints, keep=99)
    store.save(state, model_config(progress["model"], run.checkpoints), progress)
    store.close()
    return best["epoch"]


def test_a_killed_run_leaves_the_same_model_and_no_line_twice(whole, killed):
    resume(killed)
    assert (killed.best / "model.safetensors").read_bytes() == (whole.best / "model.safetensors").read_bytes()
    assert lines(killed) == lines(whole)


@pytest.mark.parametrize("damage", ["none", "another step", "cut", "gone"])
def test_the_best_model_is_rebuilt_where_it_is_not_that_of_the_checkpoint(killed, damage, capsys, monkeypatch):
    best_epoch(killed, lambda epoch: 1)
    config = json.loads((killed.best / "config.json").read_text())
    config["provenance"]["step"] = BATCHES if damage == "none" else BATCHES + 1
    (killed.best / "config.json").write_text(json.dumps(config))
    if damage == "cut":
        (killed.best / "model.safetensors").write_bytes(b"")
    if damage == "gone":
        shutil.rmtree(killed.best)
    monkeypatch.setattr("hybridner.training.loop.TrainingLoop._train", enough)
    with pytest.raises(InputError, match="enough"):
        resume(killed)
    assert ("rebuilt from the checkpoint of step 4" in capsys.readouterr().out) == (damage != "none")
    if damage != "none":
        model = open_model(killed.folder)
        assert (model.provenance["epoch"], model.provenance["step"]) == (1, BATCHES)
        first = open_checkpoints("torch", killed.checkpoints, read_only=True).restore(BATCHES).state
        assert bitwise_difference(model.weights, first.weights) is None


def test_checkpoints_come_by_the_minute(corpus, tmp_path, monkeypatch):
    now = iter(range(0, 10_000, 30))
    monkeypatch.setattr("hybridner.training.saving.time.monotonic", lambda: next(now))
    run = RunDir(tmp_path / "run")
    hybridner.train("torch", data=corpus, output=run.folder, keep_checkpoints=99, checkpoint_minutes=1.0, **OPTIONS)
    assert {int(path.name) for path in run.checkpoints.iterdir()} == {2, 4, 6, 8, 10, 12}


def test_the_last_few_and_that_of_the_best_epoch_are_kept(corpus, tmp_path):
    run = RunDir(tmp_path / "run")
    options = {**OPTIONS, "epochs": 6, "learning_rate": 1e-9}
    hybridner.train("torch", data=corpus, output=run.folder, keep_checkpoints=1, **options)
    best = best_epoch(run)
    assert {int(path.name) for path in run.checkpoints.iterdir()} == {best * BATCHES, 6 * BATCHES}


def test_lines_that_are_lost_are_said(killed, capsys):
    size = killed.metrics.stat().st_size
    killed.metrics.write_bytes(killed.metrics.read_bytes()[:100])
    resume(killed)
    assert "bytes are missing; resuming without" in capsys.readouterr().out
    assert killed.metrics.stat().st_size < size


def test_a_run_resumed_elsewhere_says_what_is_no_longer_bit_for_bit(killed, capsys, monkeypatch):
    resumed = "numbers agree up to rounding, no longer bit for bit"
    monkeypatch.setenv("OMP_NUM_THREADS", "77")
    monkeypatch.setattr("hybridner.training.saving.versions", lambda backend: {"torch": "99.0"})
    resume(killed)
    said = capsys.readouterr().out
    assert "→ 77" in said
    assert "→ 99.0" in said
    assert resumed in " ".join(said.split())


@pytest.mark.parametrize("part", ["model", "labels"])
def test_a_checkpoint_of_another_model_is_refused(killed, part):
    state, progress, _ = newest_state("torch", killed.checkpoints)
    config = model_config(progress["model"], killed.checkpoints)
    if part == "model":
        config = dataclasses.replace(config, dropout=0.5)
    else:
        progress["labels"].pop()
    store = open_checkpoints("torch", killed.checkpoints)
    store.save(state, config, progress)
    store.close()
    with pytest.raises(InputError, match=f"made for {part}"):
        resume(killed)


@pytest.mark.parametrize("value", [None, {"epochs": 3}, {"epoch": "x"}, {"epoch": -1}, {"best": 3}, {"epoch": True}])
def test_a_progress_that_cannot_be_one_is_refused(killed, value):
    state, progress, _ = newest_state("torch", killed.checkpoints)
    store = open_checkpoints("torch", killed.checkpoints)
    store.save(state, model_config(progress["model"], killed.checkpoints), {**progress, "progress": value})
    store.close()
    with pytest.raises(InputError, match="the checkpoint of step 8: its progress"):
        resume(killed)
