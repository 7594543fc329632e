import dataclasses
import hashlib
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from hybridner.config.model import PiecesInput, original_model
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.model.parts import EMBEDDING, rows
from hybridner.model.weights import (
    check_weights,
    initial_weights,
    num_parameters,
    position_table,
    weight_shapes,
)
from tests.sizes import resized

ORIGINAL = make_options("original").model.config(PiecesInput(30522), num_labels=9)
SMALL = original_model(vocab_size=50, num_labels=5, hidden_size=16, num_encoder_layers=2, max_length=40, pad_token_id=3)
BIAS_OF_CLASSIFIER = "classifier.bias"
DIGEST = """
import hashlib
from hybridner.config.model import *
from hybridner.model.weights import initial_weights
digest = hashlib.sha256()
for name, value in initial_weights({config!r}, 7).items():
    digest.update(name.encode() + value.tobytes())
print(digest.hexdigest())
"""


def original_state_dict():
    """Return names and shapes of the original's checkpoint, with the embedding once."""
    encoder = "transformer_encoder.encoder"
    shapes = {"transformer_encoder.embed_tokens.weight": (30522, 256)}
    for i in range(6):
        layer = f"{encoder}.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{layer}.self_attn.{name}.weight": (256, 256), f"{layer}.self_attn.{name}.bias": (256,)}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"{layer}.{name}.weight": (256,), f"{layer}.{name}.bias": (256,)}
        shapes |= {f"{layer}.fc1.weight": (1024, 256), f"{layer}.fc1.bias": (1024,)}
        shapes |= {f"{layer}.fc2.weight": (256, 1024), f"{layer}.fc2.bias": (256,)}
    shapes |= {f"{encoder}.embedding_layer_norm.weight": (256,), f"{encoder}.embedding_layer_norm.bias": (256,)}
    for name in ("linear_ih", "linear_hh"):
        shapes |= {f"lstm.{name}.weight": (1024, 256), f"lstm.{name}.bias": (1024,)}
    return shapes | {"classifier.weight": (9, 256), "classifier.bias": (9,)}


def test_the_original_preset_has_as_many_parameters_as_the_original():
    assert num_parameters(ORIGINAL) == 13_081_353


def test_names_and_shapes_are_those_of_the_originals_checkpoint():
    assert weight_shapes(ORIGINAL) == original_state_dict()
    assert len(weight_shapes(ORIGINAL)) == 105


def test_without_the_lstm_only_its_tensors_are_gone():
    without = weight_shapes(dataclasses.replace(ORIGINAL, lstm=None))
    assert without == {name: s for name, s in original_state_dict().items() if not name.startswith("lstm.")}


def test_the_initial_weights_are_the_table():
    weights = initial_weights(SMALL, 7)
    assert {name: value.shape for name, value in weights.items()} == weight_shapes(SMALL)
    assert {value.dtype for value in weights.values()} == {np.dtype("float32")}
    check_weights(SMALL, weights, "here")


def test_initial_weights_are_the_same_bytes_in_every_process():
    digest = hashlib.sha256()
    for name, value in initial_weights(SMALL, 7).items():
        digest.update(name.encode() + value.tobytes())
    code = f"from hybridner.config.model import ModelConfig\n{DIGEST.format(config=SMALL)}"
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout.strip() == digest.hexdigest(), done.stderr


def test_linear_maps_start_uniform_within_one_over_the_root_of_their_inputs():
    config = resized(SMALL, hidden_size=64, num_labels=64)
    weights = initial_weights(config, 7)
    linear = [row.name for row in rows(config) if row.kind in ("linear_weight", "linear_bias", "key_bias")]
    assert len(linear) == 2 * (2 * 6 + 2 + 1)
    for name in linear:
        fan_in = weights[name.removesuffix("bias").removesuffix("weight") + "weight"].shape[1]
        bound, values = 1 / math.sqrt(fan_in), weights[name].astype(np.float64)
        assert abs(values).max() <= bound * (1 + 1e-7)
        assert abs(values).max() > 0.9 * bound
        sigma = bound / math.sqrt(3)
        assert abs(values.mean()) < 4.5 * sigma / math.sqrt(values.size)
        assert values.std() == pytest.approx(sigma, rel=3 / math.sqrt(values.size))


def test_embeddings_start_normal_with_the_pad_row_zero():
    config = resized(SMALL, vocab_size=2000)
    embedding = initial_weights(config, 7)[EMBEDDING].astype(np.float64)
    assert not embedding[config.input.pad_token_id].any()
    others = np.delete(embedding, config.input.pad_token_id, axis=0)
    assert (others != 0).all()
    assert abs(others.mean()) < 4.5 / math.sqrt(others.size)
    assert others.var() == pytest.approx(1, abs=4.5 * math.sqrt(2 / others.size))
    assert (abs(others) < 1).mean() == pytest.approx(0.6827, abs=0.012)


def test_layer_norms_start_as_the_identity():
    weights = initial_weights(SMALL, 7)
    norms = [row.name for row in rows(SMALL) if row.kind in ("norm_scale", "norm_bias")]
    assert len(norms) == 2 * (1 + 2 * 2)
    assert all((weights[name] == (1 if name.endswith("weight") else 0)).all() for name in norms)


def test_the_values_of_a_tensor_do_not_depend_on_which_others_there_are():
    weights = initial_weights(SMALL, 7)
    for changed in ({"use_lstm": False}, {"num_encoder_layers": 1}, {"num_labels": 9}, {"vocab_size": 60}):
        others = initial_weights(resized(SMALL, **changed), 7)
        shared = [name for name in others if others[name].shape == weights[name].shape]
        assert len(shared) >= len(others) - 2
        assert all(others[name].tobytes() == weights[name].tobytes() for name in shared)


def test_no_two_tensors_and_no_two_seeds_have_the_same_values():
    drawn = [
        value.ravel()[:5].tobytes()
        for seed in (7, 8, 2**40 + 7)
        for name, value in initial_weights(SMALL, seed).items()
        if "layer_norm" not in name
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("name", [EMBEDDING, "lstm.linear_hh.weight", BIAS_OF_CLASSIFIER])
def test_a_missing_tensor_is_named(name):
    weights = initial_weights(SMALL, 7)
    del weights[name]
    with pytest.raises(InputError) as caught:
        check_weights(SMALL, weights, "model.safetensors")
    assert str(caught.value) == f"model.safetensors: tensor {name!r} is missing"


def test_a_tensor_too_many_is_named():
    weights = {**initial_weights(SMALL, 7), "lstm.linear_oh.weight": np.zeros(1, np.float32)}
    with pytest.raises(InputError) as caught:
        check_weights(SMALL, weights, "here")
    assert str(caught.value) == "here: tensor 'lstm.linear_oh.weight' does not belong to this model"
    with pytest.raises(InputError, match=r"tensor 'lstm.linear_ih.weight' does not belong"):
        check_weights(dataclasses.replace(SMALL, lstm=None), initial_weights(SMALL, 7), "here")


def test_a_tensor_of_another_shape_is_named_with_both_shapes():
    weights = initial_weights(SMALL, 7)
    weights["lstm.linear_ih.weight"] = weights["lstm.linear_ih.weight"].T
    with pytest.raises(InputError) as caught:
        check_weights(SMALL, weights, "here")
    assert str(caught.value) == "here: tensor 'lstm.linear_ih.weight' has shape (16, 64), expected (64, 16)"


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_a_tensor_of_another_type_is_named_with_both_types(dtype):
    weights = initial_weights(SMALL, 7)
    weights[BIAS_OF_CLASSIFIER] = weights[BIAS_OF_CLASSIFIER].astype(dtype)
    with pytest.raises(InputError) as caught:
        check_weights(SMALL, weights, "here")
    assert str(caught.value) == f"here: tensor 'classifier.bias' is {dtype}, expected float32"
    if dtype == "float64":
        check_weights(SMALL, weights, "here", ("float32", "float64"))


def test_the_position_table_is_the_formula():
    table = position_table(1024, 24)
    assert table.shape == (1024, 24)
    assert table.dtype == np.float64
    for position in (0, 1, 2, 17, 500, 1023):
        for i in range(12):
            angle = position / math.pow(10000, 2 * i / 24)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-12)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-12)


def test_the_position_table_of_many_models_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        position_table(24, 16)[0, 0] = 1
