import numpy as np
import pytest

from hybridner.config.model import original_model
from hybridner.config.presets import PRESETS, make_options
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS, learner_class
from hybridner.parity.errors import global_norm
from hybridner.parity.samples import random_weights, standard_batches
from hybridner.training.train import prepare
from hybridner_torch import bfloat16
from hybridner_torch.learner import Learner

CONFIG = original_model(vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=32)
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"


@pytest.fixture(autouse=True)
def forget():
    bfloat16.check_on_cpu.cache_clear()
    yield
    bfloat16.check_on_cpu.cache_clear()


@pytest.mark.parametrize(("trial", "code"), [(DIES, -4), ("raise SystemExit(3)", 3)])
def test_pytorch_refuses_bfloat16_on_a_cpu_where_a_trial_dies(monkeypatch, trial, code):
    monkeypatch.setattr(bfloat16, "TRIAL", trial)
    with pytest.raises(InputError, match=rf"cannot multiply in it on this CPU \(exit code {code}\); use float32"):
        Learner(CONFIG, make_options("original", dtype="bfloat16", device="cpu"))


def test_pytorch_computes_in_bfloat16_where_the_trial_lives(monkeypatch):
    monkeypatch.setattr(bfloat16, "TRIAL", "pass")
    Learner(CONFIG, make_options("original", dtype="bfloat16", device="cpu"))


def test_the_trial_is_not_run_for_float32(monkeypatch):
    monkeypatch.setattr(bfloat16, "TRIAL", DIES)
    Learner(CONFIG, make_options("original", device="cpu"))


def first_step(backend, dtype):
    learner = learner_class(backend)(CONFIG, make_options("original", dtype=dtype, device="cpu", parallel="jit"))
    learner.init(random_weights(CONFIG, 3))
    metrics = learner.step(standard_batches(CONFIG)[0], 1e-3)
    return float(metrics.loss_sum) / int(metrics.num_labels), learner.snapshot()


@pytest.mark.parametrize("backend", [pytest.param("flax", marks=pytest.mark.slow), "torch"])
def test_a_step_in_bfloat16_is_that_of_float32_to_two_digits(backend):
    if backend == "torch":
        try:
            bfloat16.check_on_cpu()
        except InputError as error:
            pytest.skip(str(error))
    (loss, state), (exact_loss, exact) = (first_step(backend, dtype) for dtype in ("bfloat16", "float32"))
    assert 0 < abs(loss - exact_loss) <= 1e-2 * exact_loss
    difference = {name: value - exact.exp_avg[name] for name, value in state.exp_avg.items()}
    assert 0 < global_norm(difference) <= 2e-2 * global_norm(exact.exp_avg)
    assert {value.dtype for value in state.weights.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("backend", BACKENDS)
def test_bfloat16_on_a_cpu_is_commented(backend, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bfloat16, "TRIAL", "pass")
    sizes = {"hidden_size": 16, "num_heads": 2, "num_encoder_layers": 1, "vocab_size": 300}
    for dtype in ("bfloat16", "float32"):
        prepare(backend, make_options(dtype=dtype, output=tmp_path / "run", device="cpu", **sizes), set())
        assert ("may be slower than float32" in capsys.readouterr().out) == (dtype == "bfloat16")


def test_bfloat16_is_never_chosen_unasked():
    assert make_options("original").devices.dtype == "float32"
    assert all(make_options(preset).devices.dtype == "float32" for preset in PRESETS)
