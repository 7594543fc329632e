"""Masks are a function of (seed, step, site, row): the same bits in numpy, JAX and PyTorch, and good ones."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import hybridner_flax.dropout as flax
import hybridner_torch.dropout as twin
from hybridner.model.dropout import drop_threshold, keep_mask, keep_scale, mix, step_key

CPU = torch.device("cpu")
RATES = [0.1, 0.25, 0.5, 0.9]
SIGMAS = 5


def mask(seed=3, step=2, site=1, rows=range(16), shape=(4096,), rate=0.5):
    return keep_mask(step_key(seed, step), site, np.asarray(rows), shape, rate)


def streams(seed, step, rows):
    key = step_key(seed, step)
    return flax.DropoutStream(jnp.asarray(key), jnp.asarray(rows)), twin.DropoutStream(key, np.asarray(rows))


@pytest.mark.parametrize("shape", [(1,), (3,), (8,), (5, 7), (2, 9, 9), (4, 33, 33)])
@pytest.mark.parametrize(("seed", "step"), [(0, 0), (12, 1), (2**32 + 5, 3), (2**63 + 9, 2**33)])
def test_numpy_jax_and_torch_keep_the_same_elements(shape, seed, step):
    rows = [0, 1, 5, 70_000]
    for site, rate in zip((0, 1, 7, 24), RATES, strict=True):
        expected = keep_mask(step_key(seed, step), site, np.asarray(rows), shape, rate)
        flax_stream, torch_stream = streams(seed, step, rows)
        in_jax = flax.keep_mask(flax_stream, site, shape, rate)
        in_torch = twin.keep_mask(torch_stream, site, shape, rate, CPU)
        assert expected.shape == (4, *shape)
        assert np.array_equal(np.asarray(in_jax), expected)
        assert np.array_equal(in_torch.numpy(), expected)


def test_the_compiled_mask_is_the_same_mask():
    stream, _ = streams(12, 4, [0, 1, 2])
    compiled = jax.jit(lambda s: flax.keep_mask(s, 3, (10, 11), 0.3))(stream)
    assert np.array_equal(np.asarray(compiled), mask(12, 4, 3, range(3), (10, 11), 0.3))


def test_the_mask_of_a_row_does_not_depend_on_the_other_rows():
    whole = mask(rows=range(8), shape=(7, 9))
    assert np.array_equal(mask(rows=[6, 2], shape=(7, 9)), whole[[6, 2]])
    for row in range(8):
        assert np.array_equal(mask(rows=[row], shape=(7, 9)), whole[[row]])


@pytest.mark.parametrize("rate", RATES)
def test_as_many_are_dropped_as_was_asked_for(rate):
    rounded = drop_threshold(rate) / 256
    assert abs(rounded - rate) <= 1 / 512
    dropped = ~mask(rate=rate)
    sigma = math.sqrt(rounded * (1 - rounded) / dropped.size)
    assert abs(dropped.mean() - rounded) < SIGMAS * sigma
    in_rows = dropped.mean(axis=1) - rounded
    assert abs(in_rows).max() < SIGMAS * sigma * math.sqrt(len(dropped))


def test_the_scale_keeps_the_expectation_exactly():
    for threshold in range(256):
        rate = threshold / 256
        assert keep_scale(rate) * (1 - rate) == pytest.approx(1, rel=1e-15)


def sign_sum(a, b):
    """Return the correlation of two masks of rate ½, in standard deviations for independent masks."""
    agree = np.where(a, 1.0, -1.0) * np.where(b, 1.0, -1.0)
    return agree.sum() / math.sqrt(agree.size)


def test_masks_of_other_sites_steps_rows_and_seeds_are_uncorrelated():
    base = {"seed": 3, "step": 2, "site": 1}
    others = [
        *({"site": site} for site in range(2, 26)),
        *({"step": step} for step in (0, 1, 3, 4, 2**20, 2**32 + 2)),
        *({"seed": seed} for seed in (0, 2, 4, 2**32 + 3)),
        {"seed": 2, "step": 3},
    ]
    masks = [mask(**base), *(mask(**{**base, **other}) for other in others), mask(**base, rows=range(16, 32))]
    scores = [sign_sum(a, b) for a, b in itertools.combinations(masks, 2)]
    assert max(map(abs, scores)) < SIGMAS
    assert np.std(scores) == pytest.approx(1, abs=5 / math.sqrt(2 * len(scores)))


def test_rows_and_neighbouring_elements_are_uncorrelated():
    whole = mask(rows=range(64), shape=(4096,))
    rows = [sign_sum(a, b) for a, b in itertools.combinations(whole, 2)]
    assert max(map(abs, rows)) < SIGMAS
    # Four elements share a hash; the columns of an attention map are a row's length apart.
    lags = [sign_sum(whole[:, lag:], whole[:, :-lag]) for lag in (*range(1, 20), 32, 64, 128, 1024)]
    assert max(map(abs, lags)) < SIGMAS


def test_the_test_of_correlation_sees_a_shifted_mask():
    whole = mask(shape=(4100,))
    assert sign_sum(whole[:, :4096], mask(shape=(4096,))) > SIGMAS
    flipped = whole[:, :4096] ^ (np.arange(16 * 4096).reshape(16, 4096) % 20 == 0)
    assert sign_sum(whole[:, :4096], flipped) > SIGMAS


def test_mixing_loses_nothing_and_spreads_each_bit():
    x = np.arange(2**16, dtype=np.uint32) * np.uint32(0x9E3779B1)
    assert len(np.unique(mix(x))) == len(x)
    for bit in range(32):
        flipped = mix(x) ^ mix(x ^ np.uint32(1 << bit))
        share = np.array([(flipped >> np.uint32(out) & np.uint32(1)).mean() for out in range(32)])
        assert abs(share - 0.5).max() < 0.02


@pytest.mark.parametrize("rate", [0.0, 0.001])
def test_a_rate_of_zero_is_the_identity(rate):
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    flax_stream, torch_stream = streams(1, 1, [0, 1])
    assert flax.dropout(jnp.asarray(x), rate, 0, flax_stream).tolist() == x.tolist()
    assert twin.dropout(torch.from_numpy(x), rate, 0, torch_stream).tolist() == x.tolist()
    assert keep_scale(rate) == 1


def test_without_a_stream_nothing_is_dropped():
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert flax.dropout(jnp.asarray(x), 0.5, 0, None).tolist() == x.tolist()
    assert twin.dropout(torch.from_numpy(x), 0.5, 0, None).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("rate", RATES)
def test_both_twins_drop_and_scale_to_the_same_numbers(dtype, rate):
    x = np.random.Generator(np.random.Philox(1)).standard_normal((3, 5, 11))
    flax_stream, torch_stream = streams(2**32 + 1, 8, [4, 5, 6])
    with jax.enable_x64(dtype == "float64"):
        a = flax.dropout(jnp.asarray(x, dtype), rate, 6, flax_stream)
        assert a.dtype == jnp.dtype(dtype)
        a = np.asarray(a, np.float64)
    b = twin.dropout(torch.from_numpy(x).to(getattr(torch, dtype)), rate, 6, torch_stream)
    assert b.dtype == getattr(torch, dtype)
    assert np.array_equal(a, b.double().numpy())
    keep = mask(2**32 + 1, 8, 6, [4, 5, 6], (5, 11), rate)
    assert ((a != 0) == keep).all()
    if dtype == "float64":
        assert np.array_equal(a[keep], (x * keep_scale(rate))[keep])
