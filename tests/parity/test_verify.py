"""``hybridner verify``: findings, messages and exit codes."""

import dataclasses
import json

import numpy as np
import pytest

from hybridner.cli import run
from hybridner.cli.parse import guarded
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.model import twins
from hybridner.model.weights import initial_weights
from hybridner.parity import verify as verify_module
from hybridner.parity.bars import CHECKS
from hybridner.parity.verify import verify
from hybridner.saved.folder import save_model
from hybridner.saved.original import save_original
from hybridner.text.tokenizer import train_tokenizer
from tests.sizes import resized

FAST_CHECKS = list(CHECKS[:5])
BIAS = "lstm.linear_hh.bias"


@pytest.fixture
def only(monkeypatch):
    """Pretend that only these frameworks are installed."""

    def only(*backends):
        for module in (verify_module, twins):
            monkeypatch.setattr(module, "installed", lambda: list(backends))

    return only


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run the command with both sides in PyTorch, which starts faster; return its exit code and output."""
    monkeypatch.setattr(verify_module, "_backends", lambda alone: ("torch", "torch"))

    def typed(*args):
        code = guarded(lambda: run(["verify", *map(str, args)]))
        return code, "".join(capsys.readouterr())

    return typed


@pytest.fixture
def saved(model, tmp_path):
    """Save a variant of the small model and return its folder."""

    def saved(name, form="torch", weights=None, **changes):
        edited = {**model.weights, **(weights or {})}
        save_model(tmp_path / name, dataclasses.replace(model, weights=edited, **changes), form)
        return tmp_path / name

    return saved


def test_one_model_is_the_same_in_both_twins(model, saved, capsys):
    folder = saved("plain", config=dataclasses.replace(model.config, dropout=0.0))
    assert run(["verify", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[1:5]] == ["weights", "activations", "gradients", "optimizer"]
    assert all(line.split()[3] == "yes" for line in said[1:5])
    assert said[6:8] == [f"A: {folder} in Flax", f"B: {folder} in PyTorch"]
    assert said[8].startswith("float64 on cpu; 3 batches of random pieces")
    assert said[-1] == "the same: every check passed"


def test_the_same_model_in_another_form_is_the_same(typed, saved_model, model, saved, tmp_path):
    save_original(tmp_path / "model.pth", model)
    for other in (saved("orbax", "flax"), tmp_path / "model.pth"):
        code, said = typed(saved_model, other)
        assert code == 0, said
        assert said.splitlines()[1].split()[:4] == ["model", "0", "bitwise", "yes"]
        assert said.endswith("the same: every check passed\n")
    assert "model.pth contains only weights: number of heads, labels and tokenizer are assumed to be those of" in said


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_last_bit_in_one_weight_is_a_difference(typed, saved_model, model, saved, dtype):
    bias = model.weights[BIAS].copy()
    bias[3] = np.nextafter(bias[3], np.float32(1))
    code, said = typed(saved_model, saved("other", weights={BIAS: bias}), "--dtype", dtype)
    assert code == 1
    assert said.splitlines()[-1] == f"NOT the same: weights, {BIAS}; 1 of 25 tensors differs"


def test_a_difference_is_followed_from_check_to_check(typed, saved_model, model, saved, tmp_path):
    code, _ = typed(
        saved_model,
        saved("other", weights={BIAS: model.weights[BIAS] + np.float32(1e-3)}),
        "--json",
        tmp_path / "report.json",
        "--plot",
        tmp_path / "report.png",
        "--steps",
        "3",
    )
    assert code == 1
    report = json.loads((tmp_path / "report.json").read_text())
    found = {finding["check"]: finding for finding in report["findings"]}
    assert list(found) == ["model", *FAST_CHECKS]
    assert [check for check in found if found[check]["passed"]] == ["model"]
    assert not report["passed"]
    assert found["activations"]["where"] == "lstm"
    assert found["activations"]["errors"]["layers.0"] == 0
    assert found["optimizer"]["where"].endswith("after 3 steps")
    assert len(found["gradients"]["errors"]) == 1 + len(model.weights)
    assert {"hybridner", "torch"} <= set(report["versions"])
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_weights_that_are_not_numbers_differ_even_from_themselves(typed, model, saved, tmp_path):
    bias = model.weights[BIAS].copy()
    bias[0] = np.nan
    broken = saved("broken", weights={BIAS: bias})
    code, said = typed(broken, broken, "--json", tmp_path / "report.json", "--plot", tmp_path / "report.png")
    assert code == 1
    assert f"{BIAS} contains values that are not finite" in said
    found = {finding["check"]: finding for finding in json.loads((tmp_path / "report.json").read_text())["findings"]}
    assert not any(found[check]["passed"] for check in FAST_CHECKS)
    assert found["activations"]["where"] == "lstm"
    assert (tmp_path / "report.png").exists()


@pytest.mark.parametrize(("dtype", "is_said"), [("float32", True), ("float64", False)])
def test_a_gradient_that_a_relu_may_have_cut_off_is_said_to_be_so_in_float32(typed, model, saved, dtype, is_said):
    fc1 = "transformer_encoder.encoder.layers.0.fc1"
    weight, bias = model.weights[f"{fc1}.weight"].copy(), model.weights[f"{fc1}.bias"].copy()
    weight[0] = 0
    folders = []
    for name, value in (("open", 1e-9), ("closed", -1e-9)):
        bias[0] = value
        folders.append(saved(name, weights={f"{fc1}.weight": weight, f"{fc1}.bias": bias.copy()}))
    code, said = typed(*folders, "--dtype", dtype)
    assert code == 1
    assert ("a ReLU whose input is within rounding of 0" in said) == is_said


def test_models_of_different_sizes_differ_and_the_size_is_named(typed, saved_model, model, saved, tmp_path):
    config = resized(model.config, hidden_size=64)
    other = saved("wide", config=config, weights=initial_weights(config, 1))
    code, said = typed(saved_model, other, "--json", tmp_path / "report.json", "--plot", tmp_path / "report.png")
    assert code == 1
    assert "encoder.hidden_size 32 against 64" in said
    assert f"({model.config.input.vocab_size}, 32) against ({model.config.input.vocab_size}, 64)" in said
    assert "have no activations or gradients to compare" in said
    assert not json.loads((tmp_path / "report.json").read_text())["passed"]
    assert not (tmp_path / "report.png").exists()


def test_a_model_without_lstm_differs_from_one_with_it(typed, saved_model, model, tmp_path):
    config = dataclasses.replace(model.config, lstm=None)
    weights = {name: value for name, value in model.weights.items() if not name.startswith("lstm.")}
    save_model(tmp_path / "other", dataclasses.replace(model, config=config, weights=weights))
    code, said = typed(saved_model, tmp_path / "other")
    assert code == 1
    assert "lstm.direction forward against None" in said
    assert "lstm.linear_ih.weight: (128, 32) against no such tensor" in said


def test_labels_in_another_order_are_a_difference_though_every_number_is_the_same(typed, saved_model, model, saved):
    labels = (model.labels[0], *reversed(model.labels[1:]))
    code, said = typed(saved_model, saved("other", labels=labels))
    assert code == 1
    assert "NOT the same: model, labels O, B-PER" in said
    assert said.count("  yes   ") == len(FAST_CHECKS)


def test_another_tokenizer_is_a_difference(typed, saved_model, saved, tokenizer):
    other = train_tokenizer([Sentence(("other", "words"))], tokenizer.vocab_size)
    code, said = typed(saved_model, saved("other", tokenizer=other))
    assert code == 1
    assert said.endswith("NOT the same: model, the tokenizers\n")


def test_real_text_is_taken_from_the_split_that_was_named(typed, saved_model, tmp_path):
    rows = "".join("Anna B-PER\n" + "long O\n" * n + ". O\n\n" for n in range(8))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "test.txt").write_text(rows)
    code, said = typed(saved_model, saved_model, "--data", tmp_path / "corpus", "--split", "test")
    assert code == 0
    assert "2 batches of corpus, test split (8 of its 8 inputs), padded and packed" in said
    code, said = typed(saved_model, saved_model, "--data", tmp_path / "corpus", "--split", "dev")
    assert code == 2
    assert "no valid split" in said


@pytest.mark.parametrize(("here", "name", "extra"), [("torch", "Flax", "flax"), ("flax", "PyTorch", "torch")])
def test_one_framework_and_one_model_cannot_be_checked(only, saved_model, here, name, extra):
    only(here)
    with pytest.raises(InputError, match=rf"{name} is not installed; pip install 'hybridner\[{extra}\]'"):
        verify(str(saved_model))


def test_one_framework_holds_two_models(only, saved_model):
    only("torch")
    found = verify(str(saved_model), str(saved_model))
    assert found.passed
    assert found.a == found.b == f"{saved_model} in PyTorch"


def test_no_framework_at_all_cannot_be_checked(only, saved_model):
    only()
    with pytest.raises(InputError, match="neither JAX nor PyTorch"):
        verify(str(saved_model), str(saved_model))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "no such file or folder"),
        (["MODEL", "nowhere"], "no such file or folder"),
        (["MODEL", "MODEL", "--dtype", "bfloat16"], "--dtype"),
        (["MODEL", "MODEL", "--steps", "0"], "steps must be at least 1"),
        (["MODEL", "MODEL", "--device", "tpu"], "no device 'tpu'"),
        (["MODEL", "MODEL", "--data", "./nowhere"], "no such folder"),
        (["MODEL", "MODEL", "--data", "sample", "--split", "tets"], "unknown split 'tets'"),
        (["MODEL", "MODEL", "--json", "nowhere/report.json"], "there is no folder nowhere"),
        (["MODEL", "MODEL", "--plott", "x.png"], "Did you mean --plot?"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(typed, saved_model, tmp_path, monkeypatch, args, said):
    monkeypatch.chdir(tmp_path)
    for variable in ("JAX_DEFAULT_MATMUL_PRECISION", "NVIDIA_TF32_OVERRIDE"):
        monkeypatch.setenv(variable, "0")  # restored after the test
    code, output = typed(*[saved_model if arg == "MODEL" else arg for arg in args])
    assert code == 2
    assert output.count("\n") == 1
    assert said in output
    assert not list(tmp_path.iterdir())


def test_text_needs_a_tokenizer(typed, saved):
    bare = saved("bare", tokenizer=None)
    code, said = typed(bare, bare, "--data", "sample")
    assert code == 2
    assert "has no tokenizer" in said
