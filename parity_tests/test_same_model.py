"""On small random models, both frameworks in one process: the twins are one function."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import hybridner_flax
import hybridner_flax.canonical
import hybridner_torch
import hybridner_torch.canonical
from hybridner.parity.errors import bitwise_difference
from hybridner.parity.ladder import (
    BARS,
    compare_activations,
    compare_gradients,
    compare_optimizer,
    compare_weights,
    standard_batches,
)
from hybridner.weights import EMBEDDING, initial_weights

DTYPES = ["float64", "float32"]


def test_the_same_seed_starts_both_models_with_the_same_bits(config):
    flax, torch_model = hybridner_flax.HybridNER(config, seed=5), hybridner_torch.HybridNER(config, seed=5)
    from flax import nnx

    a = hybridner_flax.canonical.to_canonical(nnx.state(flax, nnx.Param))
    b = hybridner_torch.canonical.to_canonical(dict(torch_model.named_parameters()))
    assert bitwise_difference(a, b) is None
    assert bitwise_difference(a, initial_weights(config, 5)) is None
    assert list(a) == list(b) or set(a) == set(b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_agree_on_padded_ragged_and_packed_batches(config, make_twins, dtype):
    finding = compare_activations(*make_twins(config, dtype=dtype), standard_batches(config), BARS[dtype])
    assert finding.held, finding


@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_and_every_gradient_agree(config, make_twins, dtype):
    finding = compare_gradients(*make_twins(config, dtype=dtype), standard_batches(config), BARS[dtype])
    assert finding.held, finding


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_agree_with_dropout_on(config, make_twins, dtype):
    config = dataclasses.replace(config, dropout=0.25)
    finding = compare_gradients(*make_twins(config, dtype=dtype), standard_batches(config), BARS[dtype])
    assert finding.held, finding


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_adamw_steps_agree_in_weights_and_moments(config, make_twins, clip_norm):
    twins = make_twins(config, dtype="float64", clip_norm=clip_norm, weight_decay=0.05)
    finding = compare_optimizer(*twins, standard_batches(config), BARS["float64"], [1e-3, 5e-4, 2e-3])
    assert finding.held, finding


def test_no_gradient_flows_into_the_pad_row(config, make_twins):
    for learner in make_twins(config, dtype="float64"):
        _, grads = learner.gradients(standard_batches(config)[0])
        assert not grads[EMBEDDING][config.pad_token_id].any()
        assert grads[EMBEDDING].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_go_there_and_back_bit_for_bit(config, make_twins, dtype):
    flax, torch_learner = make_twins(config, dtype=dtype)
    start = flax.snapshot()
    flax.step(standard_batches(config)[0], 1e-3)
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
    assert compare_weights(flax, torch_learner).held


def test_the_logits_of_the_bare_modules_agree(config):
    input_ids = np.array([[2, 7, 9, 3], [2, 5, 3, 0]], np.int32)
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], np.int32)
    a = hybridner_flax.HybridNER(config, seed=1)(jnp.asarray(input_ids), jnp.asarray(mask))
    with torch.no_grad():
        b = hybridner_torch.HybridNER(config, seed=1)(torch.from_numpy(input_ids), torch.from_numpy(mask))
    assert np.linalg.norm(np.asarray(a) - b.numpy()) <= 2e-6 * np.linalg.norm(b.numpy())
    assert jax.numpy.isfinite(a).all()
