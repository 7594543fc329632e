import pytest

from hybridner.config.model import original_model
from hybridner.config.presets import PRESETS, make_options
from hybridner.errors import InputError
from hybridner.model.twins import BACKENDS
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
