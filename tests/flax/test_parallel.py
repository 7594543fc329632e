"""One result on any number of devices: simulated ones, in a process of their own."""

import json
import os
import subprocess
import sys

import pytest

RUN = """
import dataclasses, json, sys
import numpy as np
from hybridner.config import ModelConfig, TrainingConfig
from hybridner.parity.ladder import standard_batches
from hybridner.weights import initial_weights
from hybridner_flax.learner import Learner

parallel, dtype, out = sys.argv[1:4]
config = ModelConfig(vocab_size=60, num_labels=5, hidden_size=32, num_encoder_layers=2, max_length=64, dropout=0.25)
learner = Learner(config, TrainingConfig(dtype=dtype, parallel=parallel, dropout=0.25, clip_norm=1.0))
learner.init(initial_weights(config, 3))
batches = standard_batches(config, row_multiple=8)
losses = []
for step in range(3):
    metrics = learner.step(batches[step], 1e-3)
    losses.append(float(metrics.loss_sum) / float(metrics.num_labels))
logits = learner.gather(learner.predict(batches[0]))
loss, grads = learner.gradients(batches[2])
state = learner.snapshot()
np.savez(out, logits=logits, losses=losses, loss=loss, devices=learner.row_multiple,
         **{f"weights.{k}": v for k, v in state.weights.items()},
         **{f"exp_avg_sq.{k}": v for k, v in state.exp_avg_sq.items()},
         **{f"grads.{k}": v for k, v in grads.items()})
"""


def run(tmp_path, parallel, devices, dtype="float64"):
    import numpy as np

    out = tmp_path / f"{parallel}-{devices}.npz"
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, parallel, dtype, str(out)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(out))


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one"), "jit", 1)


@pytest.mark.parametrize(("parallel", "devices"), [("pmap", 8), ("mesh", 8), ("pmap", 2)])
def test_training_and_prediction_do_not_depend_on_the_devices(on_one_device, tmp_path, parallel, devices):
    from hybridner.parity.errors import tensor_errors, worst

    spread = run(tmp_path, parallel, devices)
    assert spread.pop("devices") == devices
    one = {name: value for name, value in on_one_device.items() if name != "devices"}
    for tensors in (one, spread):
        for name in [name for name in tensors if name.endswith("k_proj.bias")]:
            del tensors[name]
    for kind in ("weights", "exp_avg_sq", "grads"):
        a, b = ({k: v for k, v in tensors.items() if k.startswith(kind)} for tensors in (spread, one))
        assert worst(tensor_errors(a, b))[1] <= 1e-11
    rest = {k: v for k, v in one.items() if k in ("logits", "losses", "loss")}
    assert worst(tensor_errors({k: spread[k] for k in rest}, rest))[1] <= 1e-11


def test_auto_takes_pmap_where_one_host_has_several_devices():
    code = """
import json
from hybridner.config import TrainingConfig
from hybridner_flax import parallel
print(json.dumps(type(parallel.choose(TrainingConfig())).__name__))
"""
    for devices, kind in (("1", "Jit"), ("4", "Pmap")):
        env = {**os.environ, "JAX_NUM_CPU_DEVICES": devices, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == kind
