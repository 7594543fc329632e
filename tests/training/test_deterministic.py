"""The same run twice gives the same bytes; ``--deterministic`` has settings for a GPU and no effect on a CPU."""

import os
import subprocess
import sys

import jax
import pytest
import torch

import hybridner
from hybridner.errors import InputError
from hybridner_flax import deterministic as flax_deterministic
from hybridner_torch.deterministic import compute_deterministically
from tests.small_runs import NAMES, SMALL

pytestmark = pytest.mark.slow

FLAG = "--xla_gpu_deterministic_ops=true"
OPTIONS = {
    **SMALL,
    "max_steps": 4,
    "average": 0.9,
    "clip_norm": 1.0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    rows = [f"the O\n{NAMES[i % 12]} B-PER\n{NAMES[i * 5 % 12]} I-PER\nsleeps O\n\n" for i in range(40)]
    (folder / "train.txt").write_text("".join(rows))
    (folder / "valid.txt").write_text("".join(rows[:8]))
    return folder


@pytest.fixture
def put_back(monkeypatch):
    """Restore the process' settings after ``compute_deterministically``."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    cudnn.deterministic, cudnn.benchmark = before[1:]
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_a_run_repeats_byte_for_byte_on_a_cpu_with_the_option_or_without(backend, corpus, tmp_path, put_back):
    models = []
    for on in (False, True):
        folder = tmp_path / str(on)
        hybridner.train(backend, data=str(corpus), output=folder, **OPTIONS, deterministic=on)
        models.append((folder / "best/model.safetensors").read_bytes())
    assert models[0] == models[1]


def test_pytorch_is_told_to_use_deterministic_kernels_alone(put_back, monkeypatch):
    compute_deterministically()
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    compute_deterministically()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


SCRIPT = """
import os, sys
from hybridner.config.presets import make_options
from hybridner_flax.learner import Learner

Learner.join(make_options("original", deterministic=True, device=sys.argv[1]))
import jax
print(jax.devices()[0].platform, jax.device_count(), os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize("device", ["auto", "tpu"])
def test_xla_starts_with_the_flag_where_there_may_be_a_gpu_and_with_those_of_the_user(device):
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    args = [sys.executable, "-c", SCRIPT, device]
    run = subprocess.run(args, env=env, capture_output=True, text=True, timeout=120, check=True)
    flags = f"{env['XLA_FLAGS']} {FLAG}" if device == "auto" else env["XLA_FLAGS"]
    assert run.stdout.strip() == f"cpu 2 {flags}"


def test_once_jax_has_started_on_a_gpu_the_flag_comes_too_late(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    jax.devices()
    number = jax.config.values["jax_num_cpu_devices"]
    flax_deterministic.compute_deterministically("auto")
    assert os.environ["XLA_FLAGS"] == ""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match=f"set XLA_FLAGS={FLAG} first"):
        flax_deterministic.compute_deterministically("auto")
    flax_deterministic.compute_deterministically("tpu")
    monkeypatch.setenv("XLA_FLAGS", FLAG)
    flax_deterministic.compute_deterministically("cuda")
    assert jax.config.values["jax_num_cpu_devices"] == number
