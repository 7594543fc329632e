"""The original's ``.pth``: its content is read bit for bit, and options supply what it lacks."""

import dataclasses
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import hybridner
from hybridner.config.model import original_model
from hybridner.corpora.labels import labels_of
from hybridner.errors import InputError
from hybridner.export.convert import convert
from hybridner.model.parts import EMBEDDING
from hybridner.model.weights import initial_weights, position_table
from hybridner.parity.errors import bitwise_difference
from hybridner.saved.model import SavedModel
from hybridner.saved.open import find_model, open_model
from hybridner.saved.original import ENCODER_EMBEDDING, LABELS, OriginalOptions, open_original, save_original
from tests.sizes import resized

ENCODER = "transformer_encoder.encoder"


@pytest.fixture
def tensors(model):
    """Make a state_dict like the original's."""
    state = {name: torch.tensor(value) for name, value in model.weights.items()}
    return {**state, ENCODER_EMBEDDING: state[EMBEDDING]}


@pytest.fixture
def pth(tmp_path, tensors):
    """Save the state_dict, or another object, as a .pth file."""

    def pth(content=None, name="original.pth"):
        torch.save(tensors if content is None else content, tmp_path / name)
        return tmp_path / name

    return pth


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        open_original(path, OriginalOptions(**options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def keys_and_shapes(vocab_size, hidden, num_layers, num_labels):
    """List the original's keys from its module names."""
    table = {EMBEDDING: (vocab_size, hidden), f"{ENCODER}.embed_tokens.weight": (vocab_size, hidden)}

    def module(name, *shape):
        table[f"{name}.weight"] = shape
        table[f"{name}.bias"] = shape[:1]

    for i in range(num_layers):
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            module(f"{ENCODER}.layers.{i}.self_attn.{projection}", hidden, hidden)
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            module(f"{ENCODER}.layers.{i}.{norm}", hidden)
        module(f"{ENCODER}.layers.{i}.fc1", 4 * hidden, hidden)
        module(f"{ENCODER}.layers.{i}.fc2", hidden, 4 * hidden)
    module(f"{ENCODER}.embedding_layer_norm", hidden)
    module("lstm.linear_ih", 4 * hidden, hidden)
    module("lstm.linear_hh", 4 * hidden, hidden)
    module("classifier", num_labels, hidden)
    return table


def test_an_export_has_the_originals_106_tensors(tmp_path):
    config = original_model(vocab_size=30, num_labels=9, hidden_size=8)
    save_original(tmp_path / "a.pth", SavedModel(config, LABELS, None, initial_weights(config, 1)))
    saved = torch.load(tmp_path / "a.pth", weights_only=True)
    assert len(saved) == 106
    assert {name: tuple(value.shape) for name, value in saved.items()} == keys_and_shapes(30, 8, 6, 9)
    assert {value.dtype for value in saved.values()} == {torch.float32}
    assert saved[EMBEDDING].data_ptr() == saved[ENCODER_EMBEDDING].data_ptr()  # one tensor, as in the original


def test_an_import_has_the_sizes_of_the_tensors(pth, model):
    opened, notes = open_original(pth(), OriginalOptions())
    assert opened.config == resized(model.config, num_heads=4, max_length=1024, dropout=0.1)
    assert opened.labels == LABELS == ("O", *(f"{p}-{t}" for t in ("PER", "ORG", "LOC", "MISC") for p in "BI"))
    assert bitwise_difference(opened.weights, model.weights) is None
    assert opened.tokenizer is None
    assert "--num-heads" in notes[0]
    assert "B-PER, I-PER, B-ORG, I-ORG, B-LOC, I-LOC, B-MISC, I-MISC (--labels)" in notes[0]
    assert "--tokenizer FILE" in notes[1]


def test_options_say_what_the_file_does_not(pth, model, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    labels = labels_of(["A", "B", "C", "D"])
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    options = OriginalOptions(8, tmp_path / "labels.txt", str(tmp_path / "tokenizer.json"))
    opened, notes = open_original(pth(), options)
    assert (opened.config.encoder.num_heads, opened.labels) == (8, labels)
    assert opened.tokenizer.to_json() == tokenizer.to_json()
    assert notes == [
        "assumed as in the original, because the file does not contain them: inputs of at most 1,024 pieces"
    ]


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_one_level_down_is_found(pth, tensors, model, key):
    path = pth({key: OrderedDict(tensors), "epoch": 3})
    assert bitwise_difference(open_model(path).weights, model.weights) is None


def test_parameters_and_the_older_file_format_are_read_too(tmp_path, tensors, model):
    parameters = {name: nn.Parameter(value) for name, value in tensors.items()}
    torch.save(parameters, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert bitwise_difference(open_model(tmp_path / "old.pth").weights, model.weights) is None


def reference_logits(tensors, ids, num_heads):
    """Compute the model's formulas with PyTorch's own layers, on one sentence."""

    def linear(name):
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    hidden = tensors[EMBEDDING].shape[1]
    table = position_table(1024, hidden)
    x = tensors[EMBEDDING][ids] + torch.tensor(table[: len(ids)], dtype=torch.float32)
    x = nn.functional.layer_norm(x, (hidden,), *linear(f"{ENCODER}.embedding_layer_norm"))[None]
    layer = nn.TransformerEncoderLayer(hidden, num_heads, 4 * hidden, batch_first=True).train()
    layer.dropout.p = layer.dropout1.p = layer.dropout2.p = layer.self_attn.dropout = 0.0
    at = f"{ENCODER}.layers.0"
    qkv = [linear(f"{at}.self_attn.{name}") for name in ("q_proj", "k_proj", "v_proj")]
    own = {
        "self_attn.in_proj_": (torch.cat([w for w, _ in qkv]), torch.cat([b for _, b in qkv])),
        "self_attn.out_proj.": linear(f"{at}.self_attn.out_proj"),
        "linear1.": linear(f"{at}.fc1"),
        "linear2.": linear(f"{at}.fc2"),
        "norm1.": linear(f"{at}.self_attn_layer_norm"),
        "norm2.": linear(f"{at}.final_layer_norm"),
    }
    weights = {f"{name}weight": weight for name, (weight, _) in own.items()}
    layer.load_state_dict({**weights, **{f"{name}bias": bias for name, (_, bias) in own.items()}})
    lstm = nn.LSTM(hidden, hidden, batch_first=True)
    (w_ih, b_ih), (w_hh, b_hh) = linear("lstm.linear_ih"), linear("lstm.linear_hh")
    lstm.load_state_dict({"weight_ih_l0": w_ih, "weight_hh_l0": w_hh, "bias_ih_l0": b_ih, "bias_hh_l0": b_hh})
    with torch.no_grad():
        return nn.functional.linear(lstm(layer(x))[0], *linear("classifier")).numpy()


@pytest.mark.parametrize("num_heads", [4, 2])
def test_an_imported_model_computes_what_pytorchs_own_layers_do(pth, tensors, tmp_path, num_heads):
    convert(pth(), tmp_path / "model", "torch", OriginalOptions(num_heads=num_heads))
    tagger = hybridner.load(pth() if num_heads == 4 else tmp_path / "model", backend="torch")
    ids = [2, 9, 30, 8, 3]
    logits = tagger.logits(np.array([ids]), np.ones((1, 5), int))
    expected = reference_logits(tensors, ids, num_heads)
    assert np.linalg.norm(logits - expected) <= 2e-6 * np.linalg.norm(expected)


def test_a_loaded_file_tells_that_it_needs_a_tokenizer_to_tag(pth):
    path = pth()
    assert find_model(path) == path
    with pytest.raises(InputError, match=r"original.pth: has no tokenizer; convert the model again with --tokenizer"):
        hybridner.load(path, backend="torch").tag("Anna sleeps.")


def test_without_lstm_its_tensors_are_left_out_and_that_is_said(pth, model):
    opened, notes = open_original(pth(), OriginalOptions(use_lstm=False))
    assert opened.config.lstm is None
    assert set(model.weights) - set(opened.weights) == {
        f"lstm.{linear}.{part}" for linear in ("linear_ih", "linear_hh") for part in ("weight", "bias")
    }
    assert "4 tensors of the LSTM are left out" in notes[0]


def test_an_export_without_lstm_adds_an_untrained_one_and_says_so(model, tmp_path):
    config = dataclasses.replace(model.config, lstm=None)
    weights = {name: value + 1 for name, value in initial_weights(config, 5).items()}
    notes = save_original(tmp_path / "a.pth", SavedModel(config, LABELS, None, weights))
    assert "4 untrained tensors of one (seed 0) were added" in notes[0]
    assert "--no-lstm --tokenizer FILE" in notes[-1]
    whole = open_model(tmp_path / "a.pth").weights
    start = initial_weights(model.config, 0)
    lstm = {name: value for name, value in start.items() if name.startswith("lstm.")}
    assert bitwise_difference(whole, {**weights, **lstm}) is None
    back, _ = open_original(tmp_path / "a.pth", OriginalOptions(use_lstm=False))
    assert bitwise_difference(back.weights, weights) is None


def test_float64_weights_are_rounded_and_that_is_said(model, tmp_path):
    weights = {name: value.astype(np.float64) / 3 for name, value in model.weights.items()}
    weights["classifier.bias"][:2] = [1e300, np.inf]
    notes = save_original(tmp_path / "a.pth", dataclasses.replace(model, weights=weights))
    assert notes[0] == (
        f"{len(weights)} float64 tensors were rounded to the original's float32: not bit for bit, "
        "and 1 of their numbers, too large for it, became infinite"
    )
    with np.errstate(over="ignore"):
        rounded = {name: value.astype(np.float32) for name, value in weights.items()}
    assert bitwise_difference(open_model(tmp_path / "a.pth").weights, rounded) is None


def test_the_same_model_is_the_same_bytes_under_any_name(model, tmp_path):
    for name in ("a.pth", "b.pth"):
        save_original(tmp_path / name, model)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_what_the_file_does_not_hold_is_said(model, tmp_path):
    assert save_original(tmp_path / "a.pth", model)[-1].endswith("to read it back: --tokenizer FILE")
    other = dataclasses.replace(
        model, config=resized(model.config, num_heads=8), labels=labels_of(["A", "B", "C", "D"])
    )
    assert save_original(tmp_path / "b.pth", other)[-1].endswith("--num-heads 8 --labels FILE --tokenizer FILE")


def without(key):
    return lambda t: {name: value for name, value in t.items() if name != key}


def with_tensor(key, value):
    return lambda t: {**t, key: value}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: {"bert.pooler.dense.weight": torch.zeros(3, 3)},
            "not a checkpoint of the original HybridNER: tensor",
        ),
        (lambda t: {}, "it contains 0 tensors"),
        (without(EMBEDDING), f"tensor {EMBEDDING!r} is missing"),
        (without(ENCODER_EMBEDDING), f"tensor {ENCODER_EMBEDDING!r} is missing"),
        (without("classifier.weight"), "tensor 'classifier.weight' is missing"),
        (without("lstm.linear_hh.bias"), "tensor 'lstm.linear_hh.bias' is missing"),
        (without(f"{ENCODER}.layers.0.fc2.bias"), f"tensor '{ENCODER}.layers.0.fc2.bias' is missing"),
        (with_tensor("crf.transitions", torch.zeros(9, 9)), "tensor 'crf.transitions' does not belong to this model"),
        (
            with_tensor(f"{ENCODER}.layers.7.fc1.bias", torch.zeros(128)),
            f"tensor '{ENCODER}.layers.1.self_attn.q_proj.weight' is missing",
        ),
        (with_tensor("lstm.linear_ih.bias", torch.zeros(32)), "'lstm.linear_ih.bias' has shape (32,), expected (128,)"),
        (with_tensor("classifier.weight", torch.zeros(9)), "'classifier.weight' has shape (9,), expected two dim"),
        (with_tensor("classifier.bias", torch.zeros(9).double()), "'classifier.bias' is float64, expected float32"),
        (with_tensor("classifier.bias", torch.zeros(9).bfloat16()), "'classifier.bias' is torch.bfloat16"),
        (with_tensor("classifier.bias", torch.zeros(9).to_sparse()), "(torch.sparse_coo), expected float32"),
        (with_tensor("classifier.bias", [0.0] * 9), "'classifier.bias' is a list, expected a name and its tensor"),
        (with_tensor(3, torch.zeros(9)), "3 is a Tensor, expected a name and its tensor"),
        (lambda t: list(t.values()), "contains a list, expected a state_dict"),
        (lambda t: t[EMBEDDING], "contains a Tensor, expected a state_dict"),
    ],
)
def test_a_file_of_another_layout_is_one_line_that_names_what_is_wrong(pth, tensors, change, words):
    path = pth(change(tensors))
    assert words in refused(path)
    assert refused(path).startswith(f"{path}: ")


@pytest.mark.parametrize("change", [lambda e: e + 1, lambda e: e[1:], lambda e: e.double()])
def test_two_embeddings_that_differ_are_both_named(pth, tensors, change):
    said = refused(pth({**tensors, ENCODER_EMBEDDING: change(tensors[EMBEDDING])}))
    assert f"{EMBEDDING!r} and {ENCODER_EMBEDDING!r} differ" in said


def test_two_embeddings_that_are_equal_bit_for_bit_may_be_two_tensors(pth, tensors, model):
    tensors[EMBEDDING][3, 3] = float("nan")  # not equal to itself, but the same bits
    opened = open_model(pth({**tensors, ENCODER_EMBEDDING: tensors[EMBEDDING].clone()}))
    assert opened.weights[EMBEDDING].tobytes() == tensors[EMBEDDING].numpy().tobytes()


class Code:
    """A pickle that would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_that_would_run_code_is_refused_and_not_run(tensors, tmp_path, new_format):
    content = {**tensors, "classifier.bias": Code(tmp_path / "ran")}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new_format)
    said = refused(tmp_path / "a.pth")
    assert "mkdir; reading it could run code, so it is refused" in said
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused_with_the_way_to_save_its_weights(pth):
    assert "torch.save(model.state_dict(), FILE)" in refused(pth(nn.Linear(2, 2)))


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_one_line(tensors, tmp_path, share, new_format):
    path = tmp_path / "a.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=new_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path).startswith(f"{path}: truncated, or not a PyTorch checkpoint (")


def test_a_file_of_another_kind_is_one_line(tmp_path):
    for content in (b"hello world\n", b"PK\x03\x04", bytes(range(256))):
        (tmp_path / "a.pth").write_bytes(content)
        assert refused(tmp_path / "a.pth").startswith(f"{tmp_path}/a.pth: ")


def test_heads_that_do_not_divide_the_hidden_size_are_an_error(pth):
    for number in (3, 0, -2):
        said = refused(pth(), num_heads=number)
        assert (
            f"hidden size 32 is not divisible by {number} attention heads; give the model's number with --num-heads"
            in said
        )


def test_other_than_nine_classes_need_labels(pth, tensors):
    seven = {**tensors, "classifier.weight": torch.zeros(7, 32), "classifier.bias": torch.zeros(7)}
    assert "has 7 classes and no names for them (the original has 9); convert it with --labels FILE" in refused(
        pth(seven)
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("O\nB-PER\nI-PER\n", "3 labels for the 9 classes of"),
        ("B-PER\nO\n", "the first label is 'B-PER', expected 'O'"),
    ],
)
def test_labels_that_do_not_fit_are_named(pth, tmp_path, text, words):
    (tmp_path / "labels.txt").write_text(text)
    said = refused(pth(), labels=tmp_path / "labels.txt")
    assert said.startswith(f"{tmp_path}/labels.txt: {words}")


def test_a_vocabulary_of_another_size_is_an_error_that_names_both(pth, model, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nanna\n")
    path = pth()
    said = refused(path, tokenizer=str(tmp_path / "vocab.txt"))
    rows = model.config.input.vocab_size
    assert said.startswith(f"{tmp_path}/vocab.txt: 5 pieces for the {rows} rows of the embedding in {path}")


def test_a_missing_pytorch_is_named_with_the_way_to_get_it(pth, model, tmp_path, monkeypatch):
    path = pth()
    find_spec = hybridner.model.twins.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else find_spec(name))
    assert "is read and written with PyTorch; backend torch needs torch; pip install 'hybridner[torch]'" in refused(
        path
    )
    with pytest.raises(InputError, match=r"pip install 'hybridner\[torch\]'"):
        save_original(tmp_path / "b.pth", model)
    assert not (tmp_path / "b.pth").exists()
