import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hybridner_flax.linear import Linear, linear


@pytest.mark.parametrize(("in_features", "out_features"), [(6, 10), (10, 6), (8, 8)])
def test_gradients_of_linear_are_those_of_a_plain_product(in_features, out_features):
    rng = np.random.default_rng(0)
    shapes = [(2, 5, in_features), (in_features, out_features), (out_features,)]
    with jax.enable_x64(True):
        x, kernel, bias = (jnp.asarray(rng.normal(size=shape)) for shape in shapes)
        dy = jnp.asarray(rng.normal(size=(2, 5, out_features)))
        ours = jax.jit(jax.grad(lambda *a: jnp.sum(linear(*a) * dy), argnums=(0, 1, 2)))(x, kernel, bias)
        plain = jax.grad(lambda x, k, b: jnp.sum((x @ k + b) * dy), argnums=(0, 1, 2))(x, kernel, bias)
    for one, other in zip(ours, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


def test_both_ways_to_the_weight_gradient_give_it():
    from hybridner_flax.linear import _kernel_gradient, _kernel_gradient_on_cpu

    rng = np.random.default_rng(1)
    for in_features, out_features in ((6, 10), (10, 6)):
        x, dy = rng.normal(size=(7, in_features)), rng.normal(size=(7, out_features))
        with jax.enable_x64(True):
            np.testing.assert_allclose(_kernel_gradient(x, dy), x.T @ dy, rtol=1e-13)
            np.testing.assert_allclose(_kernel_gradient_on_cpu(x, dy), x.T @ dy, rtol=1e-13)


def test_a_linear_module_computes_what_the_library_s_own_does():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 4, 6)), jnp.float32)
    for dtype in (jnp.float32, jnp.bfloat16):
        ours, theirs = (kind(6, 5, dtype=dtype, rngs=nnx.Rngs(3)) for kind in (Linear, nnx.Linear))
        np.testing.assert_array_equal(ours(x), theirs(x))
