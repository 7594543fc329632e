import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hybridner.errors import InputError
from hybridner.model.weights import initial_weights
from hybridner.parity.errors import bitwise_difference
from hybridner.saved import folder as model_dir
from hybridner.saved.folder import save_model
from hybridner.saved.open import open_model
from tests.sizes import resized


@pytest.fixture
def folder(saved_model, tmp_path):
    """Copy the saved model for a test to damage."""
    return shutil.copytree(saved_model, tmp_path / "saved")


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def change_config(folder, change):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(source):
    with pytest.raises(InputError) as caught:
        open_model(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["torch", "flax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_saved_is_what_opens_bit_for_bit(model, tmp_path, form, dtype):
    weights = {name: (value / 3).astype(dtype) for name, value in model.weights.items()}
    saved = dataclasses.replace(model, weights=weights)
    save_model(tmp_path / "saved", saved, form)
    opened = open_model(tmp_path / "saved")
    assert bitwise_difference(opened.weights, weights) is None
    assert (opened.config, opened.labels, opened.provenance) == (model.config, model.labels, model.provenance)
    assert opened.tokenizer.to_json() == model.tokenizer.to_json()
    assert opened.where == str(tmp_path / "saved")


def test_the_same_model_saved_twice_is_the_same_bytes(model, saved_model, tmp_path):
    save_model(tmp_path / "again", model)
    assert files_of(tmp_path / "again") == files_of(saved_model)
    assert set(files_of(saved_model)) == {"config.json", "tokenizer.json", "model.safetensors", "README.md"}


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
@pytest.mark.parametrize("form", ["torch", "flax"])
def test_files_have_the_permissions_of_the_umask(model, tmp_path, form):
    before = os.umask(0o027)
    try:
        save_model(tmp_path / "saved", model, form)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert modes == {0o640}


def test_a_model_without_a_tokenizer_opens_without_one(model, tmp_path):
    save_model(tmp_path / "saved", dataclasses.replace(model, tokenizer=None))
    assert open_model(tmp_path / "saved").tokenizer is None


def test_a_run_means_its_best_model(model, saved_model, tmp_path):
    (tmp_path / "config.toml").write_text("")
    assert "a run without a saved model yet" in refused(tmp_path)
    shutil.copytree(saved_model, tmp_path / "best")
    assert bitwise_difference(open_model(tmp_path).weights, model.weights) is None


def test_what_is_not_a_model_is_named(tmp_path):
    assert refused(tmp_path / "nowhere").startswith(f"{tmp_path}/nowhere: no such file or folder")
    assert "neither a run nor a model folder" in refused(tmp_path)
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file").startswith(f"{tmp_path}/file: a file")


@pytest.mark.parametrize("content", ["", "{", "[]", '"hybridner"', "\xff"])
def test_a_damaged_config_is_one_line_that_names_it(folder, content):
    (folder / "config.json").write_text(content, encoding="latin-1")
    assert refused(folder).startswith(f"{folder}/config.json: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format="other"), "not a model folder of format version 1 to 3"),
        (lambda c: c.update(format_version=4), "not a model folder of format version 1 to 3"),
        (lambda c: c.pop("format"), "not a model folder of format version 1 to 3"),
        (lambda c: c.pop("model"), "'model' is missing or not an object"),
        (lambda c: c.update(model=[1]), "'model' is missing or not an object"),
        (lambda c: c["model"].update(num_layers=3), "unknown key 'model.num_layers'"),
        (lambda c: c["model"]["encoder"].pop("num_heads"), "key 'model.encoder.num_heads' is missing"),
        (lambda c: c["model"]["encoder"].update(num_heads="4"), "'model.encoder.num_heads' is '4', expected int"),
        (lambda c: c["model"]["encoder"].update(num_heads=True), "'model.encoder.num_heads' is True, expected int"),
        (lambda c: c["model"].update(lstm=1), "'model.lstm' is missing or not an object"),
        (
            lambda c: c["model"]["lstm"].update(direction="up"),
            "'model.lstm.direction' is 'up', expected 'forward' or 'bidirectional'",
        ),
        (lambda c: c["model"]["encoder"].update(num_heads=3), "hidden_size 32 is not divisible by num_heads 3"),
        (lambda c: c.pop("labels"), "'labels' is not a list of strings"),
        (lambda c: c.update(labels="O"), "'labels' is not a list of strings"),
        (lambda c: c["labels"].pop(), "label 'B-MISC' has no 'I-MISC'"),
        (lambda c: c.update(labels=c["labels"][:-2]), "7 labels for num_labels 9"),
        (lambda c: c.update(labels=c["labels"][1:]), "the first label is 'B-PER', expected 'O'"),
    ],
)
def test_a_config_that_does_not_fit_says_what_is_wrong(folder, change, words):
    change_config(folder, change)
    assert refused(folder) == f"{folder}/config.json: {words}"


def test_a_whole_number_for_a_probability_is_taken(folder):
    change_config(folder, lambda c: c["model"].update(dropout=0))
    assert open_model(folder).config.dropout == 0


def test_provenance_that_is_not_an_object_is_left_out(folder):
    change_config(folder, lambda c: c.update(provenance=3))
    assert open_model(folder).provenance == {}


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_truncated_weights_are_one_line_that_names_them(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    assert refused(folder).startswith(f"{path}: cannot be read (")


@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.9, 1])
@pytest.mark.parametrize("bit", [1, 128])
def test_one_bit_that_changed_on_the_way_is_seen(folder, share, bit):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin + int(share * (len(content) - begin - 1))] ^= bit
    path.write_bytes(content)
    assert refused(folder).startswith(f"{folder}: the weights are not those that were saved with config.json")


def test_a_folder_without_a_digest_opens_as_it_is(folder, model):
    change_config(folder, lambda c: c.pop("weights_sha256"))
    assert bitwise_difference(open_model(folder).weights, model.weights) is None


@pytest.mark.parametrize("value", [None, 3, "", "0" * 64, ["x"]])
def test_a_digest_of_something_else_is_refused(folder, value):
    change_config(folder, lambda c: c.update(weights_sha256=value))
    assert "their SHA-256 differs" in refused(folder)


def test_weights_that_are_missing_are_named(folder):
    (folder / "model.safetensors").unlink()
    assert refused(folder) == f"{folder}: no weights (neither model.safetensors nor model.orbax)"


@pytest.mark.parametrize(
    ("slot", "change", "words"),
    [
        (
            "encoder",
            {"num_layers": 2},
            "tensor 'transformer_encoder.encoder.layers.1.self_attn.q_proj.weight' is missing",
        ),
        (None, {"lstm": None}, "tensor 'lstm.linear_hh.bias' does not belong to this model"),
        ("input", {"vocab_size": 300}, "tensor 'transformer_encoder.embed_tokens.weight' has shape "),
    ],
)
def test_weights_of_another_model_are_named(folder, slot, change, words):
    change_config(folder, lambda c: (c["model"][slot] if slot else c["model"]).update(change))
    assert refused(folder).startswith(f"{folder}: {words}")


def test_weights_of_another_type_are_named(model, folder):
    half = {name: value.astype(np.float16) for name, value in model.weights.items()}
    save_model(folder, dataclasses.replace(model, weights=half))
    assert refused(folder).endswith("is float16, expected float32 or float64")


def test_a_tokenizer_with_more_pieces_than_the_model_is_named(model, folder):
    config = resized(model.config, vocab_size=model.config.input.vocab_size - 1)
    save_model(folder, dataclasses.replace(model, config=config, weights=initial_weights(config, 1)))
    pieces = model.config.input.vocab_size
    assert refused(folder) == f"{folder}/tokenizer.json: {pieces} pieces for vocab_size {pieces - 1}"


def test_a_damaged_tokenizer_is_named(folder):
    (folder / "tokenizer.json").write_text("{")
    assert refused(folder).startswith(f"{folder}/tokenizer.json: ")


@pytest.mark.parametrize("damage", ["empty folder", "truncated file"])
def test_a_damaged_orbax_folder_is_one_line_that_names_it(model, tmp_path, damage):
    save_model(tmp_path / "saved", model, "flax")
    orbax = tmp_path / "saved" / "model.orbax"
    if damage == "empty folder":
        shutil.rmtree(orbax)
        orbax.mkdir()
    else:
        for path in orbax.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refused(tmp_path / "saved").startswith(f"{orbax}: not an Orbax checkpoint that can be read")


def another(model):
    return dataclasses.replace(model, weights=initial_weights(model.config, 2))


@pytest.mark.parametrize("step", ["weights", "tokenizer", "config", "card", "rename"])
def test_a_save_that_is_stopped_leaves_the_old_model_as_it_was(model, folder, monkeypatch, step):
    before = files_of(folder)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "weights":
            patch.setattr(model_dir, "write_tensors", stop)
        elif step == "tokenizer":
            patch.setattr(type(model.tokenizer), "save", stop)
        elif step == "config":
            patch.setattr(model_dir.json, "dumps", stop)
        elif step == "card":
            patch.setattr(model_dir, "card", stop)
        else:
            patch.setattr("hybridner.files.whole.replace_folder", stop)
        with pytest.raises(KeyboardInterrupt):
            save_model(folder, another(model))
    assert files_of(folder) == before
    assert bitwise_difference(open_model(folder).weights, model.weights) is None
    save_model(folder, another(model))  # the stopped save's leftovers do not interfere
    assert bitwise_difference(open_model(folder).weights, another(model).weights) is None
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_run_stopped_between_two_renames_still_has_a_model(model, saved_model, tmp_path, monkeypatch):
    shutil.copytree(saved_model, tmp_path / "best")
    rename = Path.rename

    def stop_at_the_second(self, target):
        if self.name == "best.partial":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            save_model(tmp_path / "best", another(model))
    assert bitwise_difference(open_model(tmp_path).weights, model.weights) is None
