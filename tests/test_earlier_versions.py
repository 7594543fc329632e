"""Runs that an earlier version made, kept as fixtures: they open, score, resume and convert."""

import json
import shutil
from pathlib import Path

import pytest

import hybridner
from hybridner.export.convert import convert
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir

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
def test_its_model_scores_what_it_scored_then(backend, opened_with):
    run = run_of(backend)
    then = metrics(run)[-1]["test"]
    assert json.loads((run.best / "config.json").read_text())["provenance"]["test"] == then
    assert then["correct"] > 0
    now = hybridner.evaluate(hybridner.load(run.folder, opened_with), "sample", split="test").argmax.to_dict()
    for name in ("f1", "precision", "recall", "correct", "predicted", "gold", "words", "sentences", "f1_interval"):
        assert now[name] == then[name]


@pytest.mark.slow
@BOTH
def test_it_resumes(backend, tmp_path, capsys):
    run = RunDir(shutil.copytree(run_of(backend).folder, tmp_path / "run"))
    before = metrics(run)
    result = hybridner.train(backend, output=run.folder, resume=True, epochs=6)
    assert result.step == 6 * STEPS_PER_EPOCH
    assert "have changed" not in capsys.readouterr().out
    after = metrics(run)
    kept = [record for record in before if record["event"] != "test"]
    assert after[: len(kept)] == kept
    assert [record["epoch"] for record in after if record["event"] == "epoch"] == [1, 2, 3, 4, 5, 6]
    assert after[-1]["valid"]["f1"] >= before[-1]["valid"]["f1"]
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
