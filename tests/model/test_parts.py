from dataclasses import replace

import pytest

from hybridner.config.model import EncoderConfig, ModelConfig, PiecesInput, is_original, original_model
from hybridner.errors import InputError
from hybridner.model.dropout import HEAD_SITE, INPUT_SITES, LSTM_SITES, SITES_PER_LAYER, layer_site
from hybridner.model.parts import rows, shift_invariant
from hybridner.saved.model import SavedModel, model_config
from hybridner.saved.original import save_original

SIZES = {"vocab_size": 40, "num_labels": 5, "hidden_size": 16, "num_heads": 2, "num_encoder_layers": 2}
ORIGINAL = original_model(**SIZES)
BERT = ModelConfig(
    num_labels=5,
    input=PiecesInput(40, max_length=24, positions="learned"),
    encoder=EncoderConfig(2, 16, 2, 40, activation="gelu", layer_norm_eps=1e-12),
    lstm=None,
)


def test_each_part_drops_at_sites_of_its_own():
    most_layers = 10_000
    sites = {
        "head": {HEAD_SITE},
        "encoder": set(range(layer_site(0), layer_site(most_layers - 1) + SITES_PER_LAYER)),
        "input": set(range(INPUT_SITES, LSTM_SITES)),
        "lstm": {LSTM_SITES},
    }
    assert sum(map(len, sites.values())) == len(set().union(*sites.values()))


def test_no_model_has_more_layers_than_there_are_sites():
    with pytest.raises(InputError, match="num_layers must be from 0 to 10,000, not 10001"):
        original_model(**{**SIZES, "num_encoder_layers": 10_001})


def test_a_bert_is_one_setting_of_the_same_parts():
    shapes = {row.name: row.shape for row in rows(BERT)}
    assert shapes["transformer_encoder.embed_positions.weight"] == (24, 16)
    assert shapes["transformer_encoder.encoder.layers.1.fc1.weight"] == (40, 16)
    assert not any(name.startswith("lstm.") for name in shapes)


def test_the_key_biases_alone_have_no_gradient():
    assert shift_invariant(ORIGINAL) == {
        f"transformer_encoder.encoder.layers.{i}.self_attn.k_proj.bias" for i in range(2)
    }


def test_the_flat_config_of_earlier_versions_means_the_original_s_model(tmp_path):
    flat = {**SIZES, "max_length": 64, "pad_token_id": 3, "dropout": 0.2, "use_lstm": False}
    assert model_config(flat, tmp_path) == original_model(**flat)


def test_what_the_original_cannot_express_is_not_written_in_its_form(tmp_path):
    assert is_original(ORIGINAL)
    for other in (
        BERT,
        replace(ORIGINAL, encoder=replace(ORIGINAL.encoder, activation="gelu")),
        replace(ORIGINAL, encoder=replace(ORIGINAL.encoder, layer_norm_eps=1e-12)),
        replace(ORIGINAL, encoder=replace(ORIGINAL.encoder, feed_forward_size=32)),
        replace(ORIGINAL, input=replace(ORIGINAL.input, positions="learned")),
    ):
        assert not is_original(other)
        with pytest.raises(InputError, match="the original's form has no place for"):
            save_original(tmp_path / "a.pth", SavedModel(other, ("O",) * 5, None, {}))
