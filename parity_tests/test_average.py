"""The moving average of the weights: the same in both versions, used for scoring, and readable by either."""

import numpy as np
import pytest

import hybridner
from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.corpora.sample import sample_sentences
from hybridner.export.convert import convert
from hybridner.model.parts import shift_invariant
from hybridner.parity.bars import BARS
from hybridner.parity.errors import bitwise_difference, tensor_errors, worst
from hybridner.parity.ladder import without
from hybridner.parity.samples import random_weights, standard_batches
from hybridner.runs.checkpoints import newest_state
from hybridner.runs.run_dir import RunDir
from hybridner_torch.learner import Learner as TorchLearner

CONFIG = original_model(
    vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=64, dropout=0.25
)
STEPS = 12
OPTIONS = make_options("original", dtype="float64", parallel="jit", device="cpu", average=0.55)
BATCH = standard_batches(CONFIG)[0]


def trained(learner):
    learner.init(random_weights(CONFIG, 3))
    for _ in range(STEPS):
        learner.step(BATCH, 1e-2)
    return learner


@pytest.fixture(scope="module")
def twins(make_twins):
    return [trained(learner) for learner in make_twins(CONFIG, OPTIONS)]


def distance(a, b):
    return worst(tensor_errors(*(without(shift_invariant(CONFIG), weights) for weights in (a, b))))[1]


@pytest.mark.slow
def test_the_twins_keep_the_same_average(twins):
    flax, torch = (learner.snapshot() for learner in twins)
    assert distance(flax.average, torch.average) <= BARS["float64"].optimizer
    assert distance(flax.average, flax.weights) > 1e-3


def test_the_average_follows_the_weights_as_it_is_defined():
    learner = TorchLearner(CONFIG, OPTIONS)
    learner.init(random_weights(CONFIG, 3))
    expected = learner.snapshot().weights
    for step in range(1, STEPS + 1):
        learner.step(BATCH, 1e-2)
        decay = min(OPTIONS.optimization.average, (1 + step) / (10 + step))
        weights = learner.snapshot().weights
        expected = {name: decay * value + (1 - decay) * weights[name] for name, value in expected.items()}
    assert (1 + STEPS) / (10 + STEPS) > OPTIONS.optimization.average > 5 / 14
    assert worst(tensor_errors(learner.snapshot().average, expected))[1] <= 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_predictions_and_saved_weights_are_the_averages(twins, which):
    learner, plain = twins[which], TorchLearner(CONFIG, make_options("original", dtype="float64", device="cpu"))
    state = learner.snapshot()
    assert bitwise_difference(learner.weights(), state.average) is None
    real = BATCH.attention_mask != 0
    logits = learner.gather(learner.predict(BATCH))[real]
    for weights, same in ((state.average, True), (state.weights, False)):
        plain.init(weights)
        error = np.abs(plain.gather(plain.predict(BATCH))[real] - logits).max()
        assert (error <= 1e-12) == same
    after = learner.snapshot()
    assert bitwise_difference(after.weights, state.weights) is None


def test_training_does_not_feel_the_average():
    with_average, without = (
        trained(
            TorchLearner(CONFIG, make_options("original", dtype="float64", device="cpu", average=average))
        ).snapshot()
        for average in (0.5, None)
    )
    assert bitwise_difference(with_average.weights, without.weights) is None
    assert without.average is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rows = ["".join(f"{w} {t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in sample_sentences("train")]
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text("\n".join(rows[:40]))
    sizes = {"hidden_size": 16, "num_heads": 2, "num_encoder_layers": 1, "vocab_size": 200, "max_length": 64}
    hybridner.train("torch", data=str(folder), output=folder / "run", max_steps=3, average=0.9, **sizes)
    return folder / "run"


def test_the_average_moves_with_a_run(run, tmp_path):
    before = newest_state("torch", run / "checkpoints").state
    assert bitwise_difference(before.average, before.weights) is not None
    convert(run, tmp_path / "there", "flax")
    convert(tmp_path / "there", tmp_path / "back", "torch")
    for backend, folder in (("flax", "there"), ("torch", "back")):
        moved = newest_state(backend, tmp_path / folder / "checkpoints").state
        assert bitwise_difference(moved.average, before.average) is None
        assert bitwise_difference(moved.weights, before.weights) is None


@pytest.mark.parametrize("way", ["pmap", "mesh"])
def test_a_run_that_flax_spread_over_devices_goes_on_in_pytorch(way, run, tmp_path):
    convert(run, tmp_path / "there", "flax")
    there = RunDir(tmp_path / "there")
    there.write_options(there.read_options()[0].replace(parallel=way), "flax")
    said = convert(there.folder, tmp_path / "back", "torch")
    assert f"parallel {way} is Flax's and became auto" in said
    assert hybridner.train("torch", output=tmp_path / "back", resume=True, max_steps=4).step == 4
