"""A run that is asked to stop and resumes as if uninterrupted."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

import hybridner
import hybridner.training.selection
from hybridner.cli import run as command
from hybridner.cli.parse import guarded
from hybridner.model.twins import learner_class
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import newest_state
from hybridner.training.signals import Stopped
from tests.small_runs import NAMES, SMALL

pytestmark = pytest.mark.slow

ROWS = "the O\nmayor O\n{} B-PER\n{} I-PER\nsleeps O\n\nthey O\nleft O\nthe O\nvillage O\n{} B-LOC\n\n"
BATCHES, STEPS = 5, 10
OPTIONS = {
    **SMALL,
    "epochs": 2,
    "log_every": 3,
    "average": 0.9,
    "parallel": "jit",
}
TIMES = ("seconds", "pieces_per_second")


@pytest.fixture(autouse=True)
def usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rows = [ROWS.format(NAMES[i % 12], NAMES[(i * 5 + 1) % 12], NAMES[(i * 7 + 3) % 12]) for i in range(40)]
    (folder / "train.txt").write_text("".join(rows[:30]))
    (folder / "valid.txt").write_text("".join(rows[30:35]))
    (folder / "test.txt").write_text("".join(rows[35:]))
    return str(folder)


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory):
    """Return the uninterrupted run of either backend."""
    made = {}

    def whole(backend):
        if backend not in made:
            made[backend] = tmp_path_factory.mktemp(backend) / "run"
            hybridner.train(backend, data=corpus, output=made[backend], **OPTIONS)
        return made[backend]

    return whole


@pytest.fixture
def on_step(monkeypatch):
    """Do something during a training step."""

    def on_step(backend, number, happens):
        learner = learner_class(backend)
        step = learner.step

        def patched(self, batch, learning_rate):
            metrics = step(self, batch, learning_rate)
            if self.snapshot().step == number:
                happens()
            return metrics

        monkeypatch.setattr(learner, "step", patched)
        return lambda: monkeypatch.setattr(learner, "step", step)

    return on_step


def press(number=signal.SIGINT):
    return lambda: signal.raise_signal(number)


def metrics(folder):
    """Return the lines of metrics.jsonl without times."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in TIMES} for record in records]


def resume(backend, folder):
    return hybridner.train(backend, output=folder, resume=True)


def assert_same(backend, folder, whole):
    assert metrics(folder) == metrics(whole)
    assert (folder / "best/model.safetensors").read_bytes() == (whole / "best/model.safetensors").read_bytes()
    states = [newest_state(backend, run / "checkpoints").state for run in (folder, whole)]
    assert states[0].step == states[1].step
    for kind in ("weights", "exp_avg", "exp_avg_sq", "average"):
        assert bitwise_difference(*(getattr(state, kind) for state in states)) is None


# 3: within an epoch; 5: at its end, before scoring; 10: at the end of the run.
@pytest.mark.parametrize(("backend", "at"), [("torch", 3), ("torch", 5), ("torch", 10), ("flax", 3)])
def test_a_run_stopped_by_ctrl_c_is_the_run_that_was_not(backend, at, whole, corpus, tmp_path, on_step, capsys):
    back = on_step(backend, at, press())
    with pytest.raises(Stopped) as stop:
        hybridner.train(backend, data=corpus, output=tmp_path / "run", **OPTIONS)
    assert stop.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert newest_state(backend, tmp_path / "run/checkpoints").state.step == at
    said = capsys.readouterr().out
    assert f"stopped by Ctrl-C at step {at} of {STEPS}" in said
    assert f"resume with: python train_{backend}.py --output {tmp_path}/run --resume" in said
    assert [r["epoch"] for r in metrics(tmp_path / "run") if r["event"] == "epoch"] == ([1] if at == 10 else [])
    back()
    assert resume(backend, tmp_path / "run").step == STEPS
    assert_same(backend, tmp_path / "run", whole(backend))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_scoring_is_left_at_once_and_done_again(split, whole, corpus, tmp_path, monkeypatch):
    score, calls = hybridner.training.selection.score, []

    def interrupted(gold, predicted):
        calls.append(len(gold))
        if len(calls) == {"valid": 2, "test": 3}[split]:
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("scoring went on")
        return score(gold, predicted)

    monkeypatch.setattr(hybridner.training.selection, "score", interrupted)
    with pytest.raises(Stopped) as stop:
        hybridner.train("torch", data=corpus, output=tmp_path / "run", **OPTIONS)
    assert stop.value.exit_code == 143
    assert not any(record["event"] == "test" for record in metrics(tmp_path / "run"))
    resume("torch", tmp_path / "run")
    assert_same("torch", tmp_path / "run", whole("torch"))


def test_a_second_ctrl_c_while_saving_harms_nothing(whole, corpus, tmp_path, on_step, monkeypatch):
    monkeypatch.setattr("hybridner.training.signals._SAME_PRESS_SECONDS", 0.0)
    module = sys.modules["hybridner_torch.checkpoint"]
    write_tensors = module.write_tensors

    def slow(path, tensors):
        time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)
        write_tensors(path, tensors)

    def twice():
        monkeypatch.setattr(module, "write_tensors", slow)
        signal.raise_signal(signal.SIGINT)

    back = on_step("torch", 8, twice)
    with pytest.raises(KeyboardInterrupt) as stop:
        hybridner.train("torch", data=corpus, output=tmp_path / "run", **OPTIONS)
    assert not isinstance(stop.value, Stopped)
    assert newest_state("torch", tmp_path / "run/checkpoints").state.step == 8
    monkeypatch.setattr(module, "write_tensors", write_tensors)
    back()
    resume("torch", tmp_path / "run")
    assert_same("torch", tmp_path / "run", whole("torch"))


def test_a_run_that_died_resumes_from_the_last_checkpoint_within_the_epoch(whole, corpus, tmp_path, on_step):
    def die():
        raise RuntimeError("the machine fails")

    back = on_step("torch", 9, die)
    with pytest.raises(RuntimeError, match="the machine fails"):
        hybridner.train("torch", data=corpus, output=tmp_path / "run", checkpoint_every=4, **OPTIONS)
    assert {path.name for path in (tmp_path / "run/checkpoints").iterdir()} == {"5", "8"}
    back()
    resume("torch", tmp_path / "run")
    assert_same("torch", tmp_path / "run", whole("torch"))


def test_the_command_says_how_to_resume_and_exits_as_a_shell_expects(corpus, tmp_path, on_step, capsys):
    on_step("torch", 4, press(signal.SIGTERM))
    options = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    args = ["train", "--backend", "torch", "--data", corpus, "--output", str(tmp_path / "a run"), *options]
    assert guarded(lambda: command(args)) == 143
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines()[-1] == (
        "stopped by SIGTERM at step 4 of 10, which is saved; resume with: "
        f"python train_torch.py --output '{tmp_path}/a run' --resume"
    )


SCRIPT = """
import os, signal, sys
from hybridner.cli import run
from hybridner.cli.parse import guarded
from hybridner_torch.learner import Learner

step = Learner.step

def patched(self, batch, learning_rate):
    metrics = step(self, batch, learning_rate)
    if self.rank == 1 and self.snapshot().step == 2:
        signal.raise_signal(signal.SIGTERM)
    return metrics

Learner.step = patched
sys.exit(guarded(lambda: run(["train", "--backend", "torch", *sys.argv[1:]])))
"""


def test_a_signal_to_one_process_stops_all_at_the_same_step(corpus, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    args = [sys.executable, "-c", SCRIPT, "--data", corpus, "--output", str(tmp_path / "run"), *options]
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(args, env={**env, "RANK": str(rank)}, **pipes) for rank in range(2)]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [143, 143], said
    assert "stopped by SIGTERM at step 5 of 10" in said[0][0]
    assert said[1][0] == ""
    assert newest_state("torch", tmp_path / "run/checkpoints").state.step == 5
