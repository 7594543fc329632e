"""Whole runs in several processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import hybridner
from hybridner.corpora.sample import sample_sentences
from hybridner.errors import InputError
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from hybridner.training.train import _agree_on_folder

REPOSITORY = Path(__file__).parents[2]
OPTIONS = {
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 64,
    "dtype": "float64",
    "dropout": 0.0,
    "batch_size": 7,
    "epochs": 2,
    "log_every": 1,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, count in (("train", 40), ("valid", 10)):
        sentences = list(sample_sentences(split))[:count]
        rows = ["".join(f"{w}\t{t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in sentences]
        (folder / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


def losses(run):
    records = [json.loads(line) for line in RunDir(run).metrics.read_text().splitlines()]
    return [r["loss"] for r in records if r["event"] == "step"], [r["valid"] for r in records if r["event"] == "epoch"]


def started(backend, rank, address, args, folder):
    host, _, port = address.partition(":")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    if backend == "torch":
        env |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": host, "MASTER_PORT": port}
    else:
        args = [*args, "--coordinator", address, "--num-processes", "2", "--process-id", str(rank)]
    command = [sys.executable, str(REPOSITORY / f"train_{backend}.py"), *args]
    return subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def one_process(corpus, tmp_path_factory):
    run = hybridner.train("torch", data=str(corpus), output=tmp_path_factory.mktemp("one") / "run", **OPTIONS)
    return losses(run.folder)


@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_two_processes_share_a_run_in_the_default_folder_and_train_what_one_trains(
    backend, corpus, one_process, tmp_path
):
    name = f"{corpus.name}-original-{backend}"
    (tmp_path / "runs" / name).mkdir(parents=True)  # taken
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    args = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    args = ["--data", str(corpus), *args]
    processes = [started(backend, rank, address, args, tmp_path) for rank in range(2)]
    said = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "2 × cpu" in said[0][0]
    assert "epoch" in said[0][0]
    assert "epoch" not in said[1][0]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [name, f"{name}-2"]
    run = tmp_path / "runs" / f"{name}-2"
    step_losses, scores = losses(run)
    assert len(step_losses) == 12
    assert step_losses == pytest.approx(one_process[0], rel=1e-9)
    assert scores == one_process[1]
    assert newest_state(backend, run / "checkpoints").state.step == 12


@pytest.mark.parametrize("other", [0, 2**31 - 1])
def test_processes_that_chose_different_folders_are_told_to_name_one(tmp_path, other):
    class Learner:
        """One of two processes; the other has chosen a folder with another number."""

        def agree(self, number):
            return max(number, other if number >= 0 else -other)

    with pytest.raises(InputError, match="give all the same --output"):
        _agree_on_folder(Learner(), RunDir(tmp_path))
