import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hybridner.corpora.sample import sample_sentences
from hybridner.parity.runs import read_run
from hybridner.parity.samples import random_weights
from hybridner_flax.learner import Learner as FlaxLearner
from hybridner_torch.learner import Learner as TorchLearner
from parity_tests.bugs import BUGS
from parity_tests.on_devices import EMBEDDING_MEAN, RUNS, SKIPPING

REPOSITORY = Path(__file__).parents[1]
RUN_OPTIONS = {
    "preset": "original",
    "dtype": "float64",
    "dropout": 0.0,
    "max_steps": 60,
    "hidden_size": 16,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 300,
    "max_length": 32,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "warmup_steps": 10,
    "clip_norm": 1.0,
    "log_every": 1,
}


@pytest.fixture(scope="session")
def make_twins():
    """Make both learners with the same weights; compile a Flax learner once for the whole session."""
    compiled = {}

    def make(config, options):
        key = config, options
        if key not in compiled:
            compiled[key] = FlaxLearner(config, options)
        learners = compiled[key], TorchLearner(config, options)
        for learner in learners:
            learner.init(random_weights(config, 3, EMBEDDING_MEAN[options.devices.dtype]))
        return learners

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Write some hundred sentences of the sample corpus as files."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, count in (("train", 240), ("valid", 40), ("test", 20)):
        sentences = list(sample_sentences(split))[:count]
        rows = ["".join(f"{w}\t{t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in sentences]
        (folder / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def flax_run(corpus, tmp_path_factory):
    """Train the Flax version by its script."""
    return run_script("train_flax.py", corpus, tmp_path_factory.mktemp("runs") / "flax")


@pytest.fixture(scope="session")
def torch_processes(tmp_path_factory):
    """Run PyTorch in two processes (DDP over gloo), without bugs and with each bug of devices; return the results."""
    folder = tmp_path_factory.mktemp("processes")
    variants = [
        "dropout on",
        "dropout off",
        "float32",
        *RUNS,
        SKIPPING,
        *[name for name, bug in BUGS.items() if bug.check == "devices"],
    ]
    env = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    run_python(
        *(
            (["-m", "parity_tests.on_devices", "torch", "auto", "2", str(folder), *variants], {"RANK": rank, **env})
            for rank in range(2)
        )
    )
    return {variant: dict(np.load(folder / f"auto {variant}.npz")) for variant in variants}


def run_script(script, corpus, output):
    options = {"data": corpus, "output": output, **RUN_OPTIONS}
    args = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    run_python(([script, *args], {}))
    return read_run(output)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run_python(*processes):
    """Run Python processes in parallel, each given as arguments and environment, and wait for them."""
    started = []
    for args, env in processes:
        env = {**os.environ, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in env.items()}}
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, *args], env=env, cwd=REPOSITORY, **pipes))
    said = [process.communicate(timeout=240)[1] for process in started]
    for process, error in zip(started, said, strict=True):
        assert process.returncode == 0, error
