"""Small random models, both frameworks in one process: both versions are one function."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import hybridner_flax
import hybridner_flax.canonical
import hybridner_torch
import hybridner_torch.canonical
from hybridner.config.presets import make_options
from hybridner.model.parts import EMBEDDING
from hybridner.model.weights import initial_weights
from hybridner.parity.bars import BARS
from hybridner.parity.errors import bitwise_difference, relative_error
from hybridner.parity.ladder import climb, compare_optimizer, compare_weights
from hybridner.parity.samples import random_ids, standard_batches
from parity_tests.on_devices import SMALL, WITH_VECTORS, WORDS

NO_LSTM = replace(SMALL, lstm=None)
CLIPPED = {"clip_norm": 0.1, "weight_decay": 0.05}
COURSE = make_options("original", learning_rate=1e-3, warmup_steps=20, schedule="cosine")
RATES = [COURSE.optimization.learning_rate_at(step, 200) for step in range(200)]


def plain(dtype="float64"):
    """Return a model and options whose programs the other tests compile too."""
    return replace(SMALL, dropout=0.0), make_options("original", dtype=dtype, parallel="jit", **CLIPPED)


@pytest.mark.parametrize(
    "config", [SMALL, NO_LSTM, WORDS, WITH_VECTORS], ids=["original", "no lstm", "words", "vectors"]
)
def test_the_same_seed_starts_both_models_with_the_same_bits(config):
    flax, torch_model = hybridner_flax.HybridNER(config, seed=5), hybridner_torch.HybridNER(config, seed=5)
    a = hybridner_flax.canonical.to_canonical(nnx.state(flax, nnx.Param))
    b = hybridner_torch.canonical.to_canonical(dict(torch_model.named_parameters()))
    assert bitwise_difference(a, b) is None
    assert bitwise_difference(a, initial_weights(config, 5)) is None
    assert set(a) == set(b)


@pytest.mark.parametrize(
    ("config", "dtype", "options"),
    [
        (SMALL, "float64", CLIPPED),
        (WORDS, "float64", {**CLIPPED, "decayed": "matrices", "beta2": 0.98}),
        (WITH_VECTORS, "float64", CLIPPED),
        pytest.param(SMALL, "float32", CLIPPED, marks=pytest.mark.slow),
        pytest.param(WORDS, "float32", CLIPPED, marks=pytest.mark.slow),
        pytest.param(NO_LSTM, "float64", {"clip_norm": None}, marks=pytest.mark.slow),
    ],
    ids=[
        "original-float64",
        "words-float64",
        "vectors-float64",
        "original-float32",
        "words-float32",
        "no lstm, no clipping-float64",
    ],
)
def test_the_twins_climb_the_ladder(make_twins, config, dtype, options):
    # At the full rate a model of words learns these batches by heart: the gradients of its CRF become small differences
    # of nearly equal numbers, which have few exact digits.
    rates = RATES if config.input.kind == "pieces" else [0.3 * rate for rate in RATES]
    for finding in climb(make_twins, config, dtype, learning_rates=rates, **options):
        assert finding.passed, finding
        assert math.isfinite(finding.error), finding


def test_activations_come_in_the_order_of_the_forward_pass(make_twins):
    flax, torch_learner = make_twins(*plain())
    batch = standard_batches(SMALL)[0]
    places = list(torch_learner.activations(batch))
    assert list(flax.activations(batch)) == places == ["embedding", "layers.0", "layers.1", "lstm", "classifier"]


def test_the_first_adamw_step_agrees(make_twins):
    finding = compare_optimizer(*make_twins(*plain()), standard_batches(SMALL), BARS["float64"], [1e-3])
    assert finding.passed, finding


def test_no_gradient_flows_into_the_pad_row_from_pad_pieces_within_a_sentence(make_twins):
    batch = standard_batches(SMALL)[0]
    assert ((batch.input_ids == SMALL.input.pad_token_id) & (batch.attention_mask != 0)).any()
    for learner in make_twins(*plain()):
        _, grads = learner.gradients(batch)
        assert not grads[EMBEDDING][SMALL.input.pad_token_id].any()
        assert grads[EMBEDDING].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_training_state_goes_there_and_back_bit_for_bit(make_twins, dtype):
    flax, torch_learner = make_twins(*plain(dtype))
    start = flax.snapshot()
    flax.step(standard_batches(SMALL)[0], 1e-3)
    trained = flax.snapshot()
    assert bitwise_difference(start.weights, trained.weights) is not None
    torch_learner.restore(trained)
    there = torch_learner.snapshot()
    flax.restore(start)
    flax.restore(there)
    back = flax.snapshot()
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert bitwise_difference(getattr(trained, kind), getattr(there, kind)) is None
        assert bitwise_difference(getattr(trained, kind), getattr(back, kind)) is None
    assert trained.step == there.step == back.step == 1
    assert compare_weights(flax, torch_learner).passed


@pytest.mark.parametrize("config", [SMALL, NO_LSTM, WORDS], ids=["original", "no lstm", "words"])
def test_the_logits_of_the_bare_modules_agree(config):
    rng = np.random.default_rng(1)
    input_ids = np.stack([random_ids(config, 4, rng), random_ids(config, 4, rng)]).astype(np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32)
    model = hybridner_flax.HybridNER(config, seed=1)
    a = jax.jit(lambda ids, mask: model(ids, mask))(jnp.asarray(input_ids), jnp.asarray(mask))
    with torch.no_grad():
        b = hybridner_torch.HybridNER(config, seed=1)(torch.from_numpy(input_ids), torch.from_numpy(mask))
    assert relative_error(np.asarray(a), b.numpy()) <= BARS["float32"].activations
