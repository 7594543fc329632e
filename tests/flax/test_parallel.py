"""The choice of devices; ``parity_tests/test_devices.py`` tests that their number changes nothing."""

import json
import os
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest

from hybridner.config.model import original_model
from hybridner.config.options import DeviceOptions
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.model.parts import shift_invariant
from hybridner.model.weights import initial_weights
from hybridner.parity.errors import tensor_errors, worst
from hybridner.parity.samples import standard_batches
from hybridner_flax import parallel
from hybridner_flax.learner import Learner

CHOICES = """
import json
from hybridner.config.options import DeviceOptions
from hybridner.errors import InputError
from hybridner_flax import parallel

def choice(**options):
    try:
        chosen = parallel.choose(DeviceOptions(**options))
    except InputError as error:
        return str(error)
    return [type(chosen).__name__, chosen.num_devices]

wanted = [{}, {"parallel": "jit"}, {"parallel": "mesh"}, {"num_devices": 2}, {"num_devices": 1}, {"num_devices": 5}]
print(json.dumps([choice(**options) for options in wanted]))
"""


def test_every_device_is_used_or_the_first_few_that_were_asked_for():
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", CHOICES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["Pmap", 4],
        ["Jit", 1],
        ["GlobalMesh", 4],
        ["Pmap", 2],
        ["Jit", 1],
        "--num-devices 5: JAX sees 4 cpu devices here",
    ]


def test_one_device_is_used_through_jit():
    assert len(jax.devices()) == 1
    assert isinstance(parallel.choose(DeviceOptions()), parallel.Jit)


@pytest.mark.slow
def test_all_ways_work_on_one_device_and_give_the_same():
    config = original_model(
        vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=32
    )
    batch = standard_batches(config)[2]
    found = []
    for way in ("jit", "pmap", "mesh"):
        learner = Learner(config, make_options("original", dtype="float64", parallel=way))
        assert learner.row_multiple == 1
        learner.init(initial_weights(config, 3))
        metrics = learner.step(batch, 1e-3)
        results = {"loss": np.asarray(float(metrics.loss_sum)), "logits": learner.gather(learner.predict(batch))}
        weights = {name: value for name, value in learner.weights().items() if name not in shift_invariant(config)}
        found.append({**results, **weights})
    for other in found[1:]:
        assert worst(tensor_errors(other, found[0]))[1] <= 1e-11


def test_a_device_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(InputError, match="no device 'tpu' here; JAX sees cpu"):
        parallel.choose(DeviceOptions(device="tpu"))


def test_rows_stand_in_the_order_of_the_processes(monkeypatch):
    devices = [
        type("Device", (), {"id": i, "process_index": p, "platform": "tpu"})() for i, p in enumerate((0, 1, 0, 1))
    ]
    monkeypatch.setattr(jax, "devices", lambda kind: devices)
    assert [(d.process_index, d.id) for d in parallel.find_devices("tpu")] == [(0, 0), (0, 2), (1, 1), (1, 3)]


@pytest.mark.parametrize(
    ("processes", "options", "message"),
    [
        ((0, 0, 1), {}, "the hosts have 2, 1 devices; each needs the same number"),
        ((0, 0), {}, "the hosts have 2, 0 devices"),
        ((0, 1), {"parallel": "pmap"}, "--parallel pmap works on one host, and there are 2; use mesh"),
        ((0, 1), {"num_devices": 1}, "--num-devices works on one host"),
    ],
)
def test_what_several_hosts_cannot_do_is_said(monkeypatch, processes, options, message):
    devices = [type("Device", (), {"id": i, "process_index": p, "platform": "tpu"})() for i, p in enumerate(processes)]
    monkeypatch.setattr(jax, "devices", lambda kind: devices)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match=message):
        parallel.choose(DeviceOptions(**options))


@pytest.mark.parametrize(
    "given", [{"coordinator": "host:1"}, {"num_processes": 2}, {"process_id": 0, "num_processes": 2}]
)
def test_the_three_options_of_several_hosts_belong_together(given):
    with pytest.raises(InputError, match="belong together"):
        parallel.join(make_options("original", **given))


def test_a_cluster_that_jax_finds_is_joined(monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **options: joined.append((args, options)))
    assert parallel.join(make_options("original")) == 0
    assert joined == [((None, None, None), {"initialization_timeout": 86_400, "heartbeat_timeout_seconds": 30})]


def test_hosts_of_a_cluster_that_do_not_join_in_time_are_reported(monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **options: threading.Event().wait(5))
    with pytest.raises(InputError, match=r"the cluster that JAX found: .* within 0.1 s \(--join-timeout\)"):
        parallel.join(make_options("original", join_timeout=0.1))


@pytest.mark.parametrize("address", ["host", "host:", ":123", "host:http"])
def test_the_coordinator_is_a_host_and_a_port(address):
    with pytest.raises(InputError, match=f"--coordinator {address}: expected .* HOST:PORT"):
        parallel.join(make_options("original", coordinator=address, num_processes=2, process_id=0))


def test_a_process_that_has_computed_is_refused_with_a_coordinator_and_trains_alone_without():
    jax.devices()
    assert parallel.join(make_options("original")) == 0
    with pytest.raises(InputError, match=r"^host:1: JAX cannot join .* must be called before"):
        parallel.join(make_options("original", coordinator="host:1", num_processes=2, process_id=0))
