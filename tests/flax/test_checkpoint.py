"""Orbax checkpoints: those of plain Flax code, and the arrays of a training state."""

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from hybridner.config.model import original_model
from hybridner.errors import InputError
from hybridner.model.weights import initial_weights
from hybridner.parity.errors import bitwise_difference
from hybridner_flax.checkpoint import read_state, read_weights, save_weights, write_state

CONFIG = original_model(vocab_size=4, num_labels=2, hidden_size=2, num_heads=1, num_encoder_layers=1)
WEIGHTS = {
    **initial_weights(CONFIG, 1),
    "classifier.weight": np.arange(4.0).reshape(2, 2),
    "classifier.bias": np.array([5e-324, -0.0]),
    "transformer_encoder.embed_tokens.weight": np.arange(8, dtype=np.float32).reshape(4, 2),
}


def refuse(*args):
    raise InputError("not these")


def test_weights_come_back_bit_for_bit_and_plain_flax_code_opens_them(tmp_path):
    save_weights(tmp_path / "ours", CONFIG, WEIGHTS)
    seen = {}
    assert bitwise_difference(read_weights(tmp_path / "ours", seen.update), WEIGHTS) is None
    assert {name: (header.shape, header.dtype) for name, header in seen.items()} == {
        name: (value.shape, value.dtype.name) for name, value in WEIGHTS.items()
    }
    with ocp.StandardCheckpointer() as checkpointer:
        kernel = checkpointer.restore(tmp_path / "ours")["classifier"]["kernel"]
    assert kernel.tobytes() == np.ascontiguousarray(WEIGHTS["classifier.weight"].T).tobytes()


def test_weights_that_plain_flax_code_wrote_are_read(tmp_path):
    kernel, bias = np.arange(6, dtype=np.float32).reshape(3, 2), np.ones(2, np.float32)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(
            tmp_path / "theirs", {"classifier": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}
        )
    expected = {"classifier.weight": kernel.T, "classifier.bias": bias}
    assert bitwise_difference(read_weights(tmp_path / "theirs", lambda headers: None), expected) is None


def test_nothing_is_read_whose_names_shapes_and_types_are_refused(tmp_path, monkeypatch):
    save_weights(tmp_path / "weights", CONFIG, WEIGHTS)
    write_state(tmp_path, CONFIG, {"weights": WEIGHTS, "exp_avg": WEIGHTS})
    monkeypatch.setattr(ocp.Checkpointer, "restore", None)
    for read in (read_weights, read_state):
        with pytest.raises(InputError, match="not these"):
            read(tmp_path / "weights" if read is read_weights else tmp_path, refuse)


def test_a_folder_that_is_no_checkpoint_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"not an Orbax checkpoint that can be read \(its metadata are missing"):
        read_weights(tmp_path, lambda headers: None)
