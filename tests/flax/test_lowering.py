"""The steps compile for devices that continuous integration does not have."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner_flax.model import HybridNER
from hybridner_flax.step import BatchArrays, State, make_predict, make_step

CONFIG = original_model(vocab_size=60, num_labels=5, hidden_size=32, num_encoder_layers=1, max_length=64)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_train_and_predict_steps_lower_for(platform, dtype):
    model = HybridNER(CONFIG, dtype=jnp.dtype(dtype))
    graphdef, params = nnx.split(model, nnx.Param)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = State(params, optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros, zeros), None)
    arrays = BatchArrays(*[jnp.ones((4, 16), jnp.int32)] * 3)
    key, learning_rate = np.ones(2, np.uint32), np.float32(1e-3)

    step = jax.jit(make_step(graphdef, make_options("original", clip_norm=1.0, dtype=dtype), None), donate_argnums=0)
    exported = jax.export.export(step, platforms=[platform])(state, arrays, key, learning_rate)
    assert exported.platforms == (platform,)
    assert exported.mlir_module().count("stablehlo.while") >= 2  # the scan, forward and backward

    predict = jax.jit(make_predict(graphdef))
    exported = jax.export.export(predict, platforms=[platform])(params, arrays)
    assert exported.out_avals[0].shape == (4, 16, CONFIG.num_labels)
