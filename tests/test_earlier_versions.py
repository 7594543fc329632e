"""Runs that an earlier version made, kept as fixtures: they open, score, resume and convert."""

import json
import shutil
from pathlib import Path

import pytest

import hybridner
from hybridner.errors import InputError
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts
from hybridner.evaluation.evaluate import predict, read_labelled
from hybridner.evaluation.scoring import score
from hybridner.export.convert import convert
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from hybridner.saved.open import open_model

BACKENDS = ("flax", "torch")
BOTH = pytest.mark.parametrize("backend", BACKENDS)
FIXTURES = Path(__file__).parent / "fixtures"
STEPS_PER_EPOCH = 225


def run_of(backend):
    return RunDir(FIXTURES / f"run-{backend}")


def metrics(run):
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


@BOTH
@pytest.mark.parametrize("opened_with", ["torch", pytest.param("flax", marks=pytest.mark.slow)])
def test_by_argmax_its_model_scores_what_it_scored_then(backend, opened_with):
    run = run_of(backend)
    then = metrics(run)[-1]["test"]
    assert json.loads((run.best / "config.json").read_text())["provenance"]["test"] == then
    assert then["correct"] > 0
    data = read_labelled("sample", "test")
    argmax = predict(hybridner.load(run.folder, opened_with), data).argmax
    now = score(data.gold, argmax).to_dict()
    now["f1_interval"] = list(interval_of_counts(entity_counts(data.gold, argmax, data.units)))
    for name in ("f1", "precision", "recall", "correct", "predicted", "gold", "words", "sentences", "f1_interval"):
        assert now[name] == then[name]


@BOTH
def test_a_resumed_run_scores_its_best_model_again_as_predict_tags(backend, tmp_path, capsys, monkeypatch):
    run = RunDir(shutil.copytree(run_of(backend).folder, tmp_path / "run"))
    then, best = metrics(run)[-1], open_model(run.folder)
    reached = []

    def stop(loop):
        reached.append((loop.progress.best, loop.job.learner.snapshot()))
        raise InputError("enough")

    monkeypatch.setattr("hybridner.training.loop.TrainingLoop._train", stop)
    with pytest.raises(InputError, match="enough"):
        hybridner.train(backend, output=run.folder, resume=True, epochs=6)
    ((now, state),) = reached
    assert (now["epoch"], now["step"]) == (then["epoch"], then["step"])
    assert now["valid"]["decoded"] is True
    assert now["valid"]["argmax"]["f1"] == then["valid"]["f1"] != now["valid"]["f1"]
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("was scored by argmax") == 1
    assert f"(dev F1 {then['valid']['f1']:.4f})" in printed
    assert f"its dev F1 is {now['valid']['f1']:.4f}" in printed
    # The model keeps its weights, and the run those of its checkpoint.
    again = open_model(run.folder)
    assert again.provenance == {**{k: v for k, v in best.provenance.items() if k != "test"}, **now}
    assert bitwise_difference(again.weights, best.weights) is None
    assert bitwise_difference(state.weights, newest_state(backend, run.checkpoints).state.weights) is None
    data = read_labelled("sample", "valid")
    assert now["valid"]["f1"] == score(data.gold, predict(hybridner.load(run.folder, backend), data).tags).f1


@pytest.mark.slow
@BOTH
def test_it_resumes(backend, tmp_path, capsys):
    run = RunDir(shutil.copytree(run_of(backend).folder, tmp_path / "run"))
    before = metrics(run)
    result = hybridner.train(backend, output=run.folder, resume=True, epochs=6)
    assert result.step == 6 * STEPS_PER_EPOCH
    printed = capsys.readouterr().out
    assert "have changed" not in printed
    assert printed.count("scored by argmax") == 1
    after = metrics(run)
    kept = [record for record in before if record["event"] != "test"]
    assert after[: len(kept)] == kept
    assert [record["epoch"] for record in after if record["event"] == "epoch"] == [1, 2, 3, 4, 5, 6]
    assert after[-1]["valid"]["decoded"] is after[-1]["test"]["decoded"] is after[-2]["valid"]["decoded"] is True
    assert after[-1]["valid"]["f1"] >= max(before[-1]["valid"]["f1"], after[-2]["valid"]["f1"])
    assert after[-2]["train_loss"] < before[-2]["train_loss"] * 1.1


@BOTH
def test_it_converts_to_the_other_backend_bit_for_bit(backend, tmp_path):
    run, other = run_of(backend), BACKENDS[backend == "flax"]
    convert(run.folder, tmp_path / "moved", other)
    moved = RunDir(tmp_path / "moved")
    states = newest_state(backend, run.checkpoints).state, newest_state(other, moved.checkpoints).state
    assert states[0].step == states[1].step == 5 * STEPS_PER_EPOCH
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert bitwise_difference(*(getattr(state, kind) for state in states)) is None
    assert metrics(moved) == metrics(run)
