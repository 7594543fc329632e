"""PyTorch's processes join, and each one chooses its device."""

import os
import subprocess
import sys

import pytest
import torch

from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner_torch import parallel
from tests.two_processes import REPOSITORY, free_address

LOST_ONCE = """
import os, time
import torch
from hybridner.config.presets import make_options
from hybridner_torch import parallel

rank = parallel.join(make_options("original", device="cpu"))
torch.distributed.all_reduce(torch.ones(1))
if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    if rank == 1:
        os.kill(os.getpid(), 9)
    time.sleep(100)
print(f"joined anew as {parallel.rank_and_world_size()}\\n", end="", flush=True)
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"coordinator": "host:1"}, "--coordinator is for Flax"),
        ({"parallel": "mesh"}, "--parallel mesh is Flax's"),
        ({"num_devices": 2}, "torchrun --nproc-per-node N"),
    ],
)
def test_options_of_flax_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        parallel.join(make_options("original", **options))


def test_the_address_where_no_process_listens_is_named(monkeypatch):
    host, _, port = free_address().partition(":")
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": host, "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"^{host}:{port}: .* within 0.5 s \(--join-timeout\)"):
        parallel.join(make_options("original", join_timeout=0.5, device="cpu"))
    assert parallel.rank_and_world_size() == (0, 1)


@pytest.mark.parametrize(("joined", "device"), [(False, "cuda"), (True, "cuda:3")])
def test_only_a_process_of_a_group_chooses_among_gpus(joined, device, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: joined)
    assert parallel.find_device("auto") == parallel.find_device("cuda") == torch.device(device)
    assert parallel.find_device("cpu") == torch.device("cpu")


@pytest.mark.slow
def test_processes_that_torchrun_restarts_join_anew(tmp_path):
    (tmp_path / "script.py").write_text(LOST_ONCE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    args = ["--master-port", free_address().partition(":")[2], str(tmp_path / "script.py")]
    done = subprocess.run([*command, *args], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["joined anew as (0, 2)", "joined anew as (1, 2)"]
