"""Untrusted files: none runs code, leads out of its folder, or takes more memory than its size."""

import ast
import dataclasses
import json
import math
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import hybridner
from hybridner.cli import run as command
from hybridner.config.presets import make_options
from hybridner.corpora.read import read_corpus
from hybridner.errors import InputError
from hybridner.export.convert import convert
from hybridner.export.push import push_model
from hybridner.files.paths import inside
from hybridner.files.reading import LARGEST_JSON
from hybridner.files.tensors import digest
from hybridner.files.whole import written_whole
from hybridner.model import size as limits
from hybridner.model.learner import TrainingState
from hybridner.model.parts import EMBEDDING
from hybridner.model.size import ALLOW_LARGE, bytes_needed, check_fits
from hybridner.model.weights import position_table
from hybridner.parity.errors import bitwise_difference
from hybridner.parity.verify import verify
from hybridner.runs.checkpoints import _checksums, newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir, choose_folder
from hybridner.saved.folder import save_model
from hybridner.saved.open import open_model
from hybridner.saved.original import OriginalOptions, open_original, to_state_dict
from hybridner.text.tokenizer import load_tokenizer
from hybridner.training.train import prepare
from tests.sizes import resized

ROOT = Path(hybridner.__file__).parents[1]
SOURCES = [path for name in ("hybridner", "hybridner_flax", "hybridner_torch") for path in (ROOT / name).rglob("*.py")]
FILES = ("config.json", "tokenizer.json", "model.safetensors")


class Code:
    """A pickle that makes a folder when read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def malicious(tmp_path):
    """Return the bytes of a pickle in each of its forms; check afterwards that none has run."""
    code = Code(tmp_path / "ran")
    forms = {"pickle": pickle.dumps(code)}
    for name, new_format in (("zip", True), ("legacy", False)):
        torch.save({"classifier.bias": code}, tmp_path / name, _use_new_zipfile_serialization=new_format)
        forms[name] = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
    yield forms
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def folder(saved_model, tmp_path):
    return shutil.copytree(saved_model, tmp_path / "model")


@pytest.fixture(scope="module")
def saved_orbax(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("orbax") / "model"
    save_model(folder, model, "flax")
    return folder


@pytest.fixture
def orbax_model(saved_orbax, tmp_path):
    return shutil.copytree(saved_orbax, tmp_path / "orbax")


@pytest.fixture
def secret(tmp_path):
    """Make a private folder, which nothing may read, change or remove."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("mine")
    yield tmp_path / "home"
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["secret"]
    assert (tmp_path / "home" / "secret").read_text() == "mine"


@pytest.fixture
def make_run(model, tmp_path):
    """Make a run with one training state, in either backend's format."""

    def make_run(backend="torch"):
        run = RunDir(tmp_path / "run")
        run.create(make_options("tiny"), backend)
        run.metrics.write_text("")
        save_model(run.best, model)
        kinds = dict.fromkeys(("weights", "exp_avg", "exp_avg_sq"), model.weights)
        checkpoints = open_checkpoints(backend, run.checkpoints)
        checkpoints.save(
            TrainingState(**kinds, step=3), model.config, {"progress": {"metrics_bytes": 0}, "labels": ["O"]}
        )
        checkpoints.close()
        return run

    return make_run


def refused(do, *args, **kwargs):
    with pytest.raises(InputError) as caught:
        do(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def opened_or_refused(read):
    """Return the value read, or None if the reader refuses in one line."""
    try:
        return read()
    except InputError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None


def ways_in(source, tmp_path):
    """List the functions that read a model: loading, converting, verifying and evaluating it."""
    return [
        lambda: hybridner.load(source, backend="torch"),
        lambda: convert(source, tmp_path / "new", "torch"),
        lambda: verify(str(source)),
        lambda: command(["evaluate", str(source), "--data", "sample"]),
    ]


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def without_arrays(folder):
    """List the files below ``folder`` except those of Orbax's arrays: Orbax prints a page per unreadable array."""
    return [path for path in files_below(folder) if path.parent.name != "d" and path.name != "manifest.ocdbt"]


def with_checksums(state):
    """Make a training state's checksums match its files, as an attacker can."""
    (state / "checksums.json").write_text(json.dumps(_checksums(state)))


# No code runs.


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_pickle_as_a_checkpoint_of_the_original_is_never_run(malicious, tmp_path, form):
    path = tmp_path / "a.pth"
    path.write_bytes(malicious[form])
    for way_in in ways_in(path, tmp_path):
        assert refused(way_in).startswith(f"{path}: ")


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("name", FILES)
def test_a_pickle_in_a_model_folder_is_never_run(malicious, folder, tmp_path, name, form):
    (folder / name).write_bytes(malicious[form])
    for way_in in ways_in(folder, tmp_path):
        assert refused(way_in).startswith(f"{folder}/{name}: ")


@pytest.mark.parametrize("form", ["zip", "pickle"])
def test_a_pickle_as_a_vocabulary_is_never_run(malicious, tmp_path, form):
    (tmp_path / "vocab.txt").write_bytes(malicious[form])
    refused(load_tokenizer, str(tmp_path / "vocab.txt"))


def test_a_pickle_in_any_place_of_an_orbax_folder_is_never_run(malicious, orbax_model, model):
    orbax, refusals = orbax_model / "model.orbax", 0
    for path in without_arrays(orbax):
        content = path.read_bytes()
        path.write_bytes(malicious["pickle"])
        opened = opened_or_refused(lambda: open_model(orbax_model))
        refusals += opened is None
        assert opened is None or bitwise_difference(opened.weights, model.weights) is None
        path.write_bytes(content)
    assert refusals == 1  # the metadata; the other files do not describe the arrays


@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_a_pickle_in_any_file_of_a_training_state_is_never_run(malicious, make_run, tmp_path, backend):
    run = make_run(backend)
    state = run.checkpoints / "3"
    refusals = 0
    for path in without_arrays(state):
        contents = {file: file.read_bytes() for file in files_below(state)}
        path.write_bytes(malicious["pickle"])
        if path.name != "checksums.json":
            with_checksums(state)
        refusals += opened_or_refused(lambda: newest_state(backend, run.checkpoints)) is None
        for file, content in contents.items():
            file.write_bytes(content)
    assert refusals >= 3
    (state / "progress.json").write_bytes(malicious["zip"])
    with_checksums(state)
    assert str(state) in refused(convert, run.folder, tmp_path / "new", "torch")
    assert not (tmp_path / "new").exists()


def test_no_source_loads_what_could_be_code():
    assert len(SOURCES) > 100
    loads = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names]
                modules = names if isinstance(node, ast.Import) else [node.module or ""]
                if names == ["UnpicklingError"]:  # the name of an error
                    continue
                banned = {"pickle", "cPickle", "_pickle", "marshal", "dill", "joblib", "shelve", "cloudpickle"}
                assert not banned & {module.split(".")[0] for module in modules}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"eval", "exec", "compile", "__import__", "np.load", "numpy.load"}, path
                assert not called.endswith((".unsafe_load", ".full_load")), path
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert "allow_pickle" not in given, path
                assert "trust_remote_code" not in given, path
                if called == "torch.load":
                    loads.append(given["weights_only"])
                if called == "yaml.load":
                    assert ast.unparse(node.args[1]) == "Loader", path
                    assert "class Loader(yaml.SafeLoader)" in path.read_text(encoding="utf-8")
    assert loads == ["True"]


# No path leaves the folder.


@pytest.mark.parametrize("name", FILES)
def test_a_link_out_of_a_model_folder_is_refused_and_named(folder, secret, tmp_path, name):
    (folder / name).unlink()
    (folder / name).symlink_to(secret / "secret")
    said = f"{folder}/{name}: leads to {secret}/secret, out of {folder}; replace it with a copy of the file"
    for way_in in ways_in(folder, tmp_path):
        assert refused(way_in) == said
    assert refused(push_model, folder, "me/names", dry_run=True) == said


def test_what_is_published_is_what_lies_in_the_folder(folder, secret):
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("../home/secret")
    assert f"{folder}/README.md: leads to {secret}/secret" in refused(push_model, folder, "me/names", dry_run=True)


def test_a_link_that_stays_in_the_folder_and_a_folder_that_is_a_link_are_fine(folder, model, tmp_path):
    (folder / "model.safetensors").rename(folder / "other")
    (folder / "model.safetensors").symlink_to("other")
    (tmp_path / "link").symlink_to(folder)
    assert bitwise_difference(open_model(tmp_path / "link").weights, model.weights) is None


def test_a_run_whose_best_model_lies_elsewhere_is_refused(make_run, folder, tmp_path):
    run = make_run()
    shutil.rmtree(run.best)
    run.best.symlink_to(folder)
    for way_in in ways_in(run.folder, tmp_path):
        assert f": leads to {folder}" in refused(way_in)


def test_a_link_in_an_orbax_folder_is_refused(orbax_model, tmp_path):
    values = orbax_model / "model.orbax" / "d"
    shutil.move(values, tmp_path / "elsewhere")
    values.symlink_to(tmp_path / "elsewhere")
    assert refused(open_model, orbax_model).startswith(f"{values}: leads to {tmp_path}/elsewhere, out of")


@pytest.mark.parametrize(
    "name", ["config.toml", "metrics.jsonl", "checkpoints", "tensorboard/events", "checkpoints/3/x"]
)
def test_a_link_out_of_a_run_is_refused_before_it_is_moved_resumed_or_overwritten(make_run, secret, tmp_path, name):
    run = make_run()
    path = run.folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(secret if name == "checkpoints" else secret / "secret")
    for do in (
        lambda: convert(run.folder, tmp_path / "new", "torch"),
        lambda: choose_folder(make_options("tiny", output=run.folder, resume=True), "torch"),
        lambda: choose_folder(make_options("tiny", output=run.folder, overwrite=True), "torch"),
    ):
        assert f"{path}: leads to {secret}" in refused(do)


def test_nothing_is_written_or_deleted_through_a_link(make_run, model, secret):
    run = make_run()
    for path in (run.best, run.checkpoints):
        shutil.rmtree(path)
    for name in ("best", "best.partial", "best.old", "checkpoints", "tensorboard"):
        (run.folder / name).symlink_to(secret)
    save_model(run.best, model)
    assert sorted(path.name for path in run.folder.glob("best*")) == ["best"]
    assert not run.best.is_symlink()
    run.create(make_options("tiny"), "torch")
    assert sorted(path.name for path in run.folder.iterdir()) == ["config.toml"]
    (run.folder / "new.partial").symlink_to(secret / "secret")
    with written_whole(run.folder / "new") as partial:
        partial.write_text("new")


@pytest.fixture
def cached(saved_model, tmp_path):
    """Make a model as in the Hugging Face Hub's cache."""
    repository = tmp_path / "hub" / "models--me--names"
    snapshot = repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    shutil.copytree(saved_model, repository / "blobs")
    for name in FILES:
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    return snapshot


def test_a_model_in_the_hubs_cache_opens(cached, model):
    assert bitwise_difference(open_model(cached).weights, model.weights) is None


def test_what_looks_like_the_hubs_cache_leads_nowhere_else(cached, secret):
    (cached / "config.json").unlink()
    (cached / "config.json").symlink_to(secret / "secret")
    assert "leads to" in refused(open_model, cached)
    (cached / "config.json").unlink()
    (cached / "config.json").symlink_to("../../blobs/config.json")
    blobs = cached.parents[1] / "blobs"
    shutil.move(blobs, cached.parents[1] / "elsewhere")
    blobs.symlink_to("elsewhere")
    assert "leads to" in refused(open_model, cached)


def test_links_in_a_circle_are_refused(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("tokenizer.json")
    assert refused(open_model, folder).startswith(f"{folder}/tokenizer.json: a broken link")


def test_a_name_with_dots_or_an_absolute_one_is_outside(tmp_path):
    for name in ("../x", "/etc/passwd", "a/../../x", "."):
        assert name == "." or "leads to" in refused(inside, tmp_path, name)
    assert inside(tmp_path, "a/b") == tmp_path / "a" / "b"


@pytest.mark.parametrize("name", ["train.txt", "valid.txt"])
def test_a_link_out_of_a_data_folder_is_refused(tmp_path, name):
    (tmp_path / "outside.txt").write_text("Anna B-PER\n\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.txt").write_text("Anna B-PER\n\n")
    (tmp_path / "data" / name).unlink(missing_ok=True)
    (tmp_path / "data" / name).symlink_to(tmp_path / "outside.txt")
    assert refused(read_corpus, str(tmp_path / "data")).startswith(
        f"{tmp_path}/data/{name}: leads to {tmp_path}/outside"
    )


def test_a_data_folder_in_the_hubs_cache_is_read(tmp_path):
    folder = tmp_path / "datasets--me--names" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    (folder.parents[1] / "blobs").mkdir()
    (folder.parents[1] / "blobs" / "4567").write_text("Anna B-PER\n\nCleo B-PER\n\n")
    (folder / "train.txt").symlink_to("../../blobs/4567")
    assert read_corpus(str(folder)).labels == ("O", "B-PER", "I-PER")


def test_a_saved_data_set_opens_no_table_outside_its_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"tokens": [["Anna"]], "tags": [["B-PER"]]})
    datasets.DatasetDict({"train": table, "validation": table}).save_to_disk(str(tmp_path / "data"))
    read_corpus(str(tmp_path / "data"))
    state = tmp_path / "data" / "train" / "state.json"
    content = json.loads(state.read_text())
    shutil.copy(tmp_path / "data" / "train" / content["_data_files"][0]["filename"], tmp_path / "outside.arrow")
    content["_data_files"][0]["filename"] = "../../outside.arrow"
    state.write_text(json.dumps(content))
    assert f"leads to {tmp_path}/outside.arrow" in refused(read_corpus, str(tmp_path / "data"))


def test_no_column_of_a_data_set_opens_files_of_its_own(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Image()), "tags": datasets.List(datasets.Value("string"))}
    )
    table = datasets.Dataset.from_dict(
        {"tokens": [[{"path": "/etc/passwd", "bytes": None}]], "tags": [["O"]]}, features
    )
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "data"))
    assert "column 'tokens' holds Image(" in refused(read_corpus, str(tmp_path / "data"))


# Sizes are checked before memory is allocated.


@pytest.fixture
def machine_of(monkeypatch):
    """Give the machine another memory size."""
    return lambda size: monkeypatch.setattr(limits, "physical_memory", lambda: size)


def config_with(folder, **values):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for name, value in values.items():
        slot = next(slot for slot in ("input", "encoder") if name in content["model"][slot])
        content["model"][slot][name] = value
    path.write_text(json.dumps(content))


def test_weights_larger_than_the_model_are_refused_by_what_their_header_says(folder, model):
    header, end = {}, 0
    for name, value in model.weights.items():
        shape = [2**31, 32] if name == EMBEDDING else list(value.shape)
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    content = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(content).to_bytes(8, "little") + content)
    os.truncate(path, path.stat().st_size + end)  # a hole: 256 GiB that take no space on disk
    said = refused(open_model, folder)
    assert said.startswith(f"{folder}: tensor {EMBEDDING!r} has shape ({2**31}, 32), expected ")


def test_a_training_state_of_another_size_is_refused_before_it_is_read(make_run, model):
    run = make_run()
    state = run.checkpoints / "3"
    progress = json.loads((state / "progress.json").read_text())
    progress["model"]["input"]["vocab_size"] += 1
    (state / "progress.json").write_text(json.dumps(progress))
    with_checksums(state)
    assert f": tensor {EMBEDDING!r} has shape" in refused(newest_state, "torch", run.checkpoints)


@pytest.fixture
def tensors(model):
    return {name: torch.tensor(value) for name, value in to_state_dict(model.weights).items()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lstm.linear_ih.weight", torch.zeros(1).expand(10**8, 10**8)),
        ("classifier.bias", torch.zeros(1).expand(10**12)),
    ],
)
def test_one_number_that_stands_for_many_is_refused(tensors, tmp_path, name, value):
    torch.save({**tensors, name: value}, tmp_path / "a.pth")
    assert f"tensor {name!r} of shape {tuple(value.shape)} has more numbers than the file contains" in refused(
        open_model, tmp_path / "a.pth"
    )


def test_one_tensor_under_many_names_is_refused(tensors, tmp_path):
    torch.save({**tensors, **{f"copy{i}": tensors[EMBEDDING].T for i in range(1000)}}, tmp_path / "a.pth")
    assert "has more numbers than the file contains" in refused(open_model, tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000])
def test_json_that_nests_too_deep_is_one_line(folder, name, content):
    (folder / name).write_text(content)
    assert refused(open_model, folder).startswith(f"{folder}/{name}: ")


def test_json_that_is_too_long_is_refused_unread(folder):
    os.truncate(folder / "config.json", LARGEST_JSON + 1)
    assert refused(open_model, folder) == f"{folder}/config.json: longer than 16 MiB, the limit for such a file"


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": 4 * 10**6},
        {"vocab_size": 10**12},
        {"max_length": 10**12},
        {"max_length": 10**4000},
        {"vocab_size": 10**4000, "hidden_size": 4 * 10**4000},
    ],
)
def test_a_config_of_a_huge_model_is_asked_back_at_once(folder, tmp_path, values):
    config_with(folder, **values)
    for way_in in ways_in(folder, tmp_path):
        begun = time.monotonic()
        said = refused(way_in)
        assert time.monotonic() - begun < 1
        assert said.startswith(f"{folder}/config.json: asks for a model of ")
        assert "and this machine has " in said
        assert said.endswith(f" of memory; if it is meant to be that large, set {ALLOW_LARGE}=1")


def test_many_labels_count_by_what_may_follow_what(model):
    more = resized(model.config, num_labels=10**6)
    assert bytes_needed(more) > 10**12


def test_what_a_model_takes_is_its_weights_and_its_positions(model):
    config = resized(model.config, num_encoder_layers=3)
    weights = sum(value.nbytes for value in hybridner.model.weights.initial_weights(config, 1).values())
    labels = config.num_labels**2
    assert (
        bytes_needed(config)
        == weights + position_table(config.input.max_length, config.encoder.hidden_size).nbytes + labels
    )
    assert (
        bytes_needed(config, training=True)
        == 4 * weights + position_table(config.input.max_length, config.encoder.hidden_size).nbytes + labels
    )


def test_a_model_that_fits_is_not_asked_back_and_a_larger_one_may_be_insisted_on(model, machine_of, monkeypatch):
    machine_of(bytes_needed(model.config))
    check_fits(model.config, "it")
    assert refused(check_fits, model.config, "it", training=True).startswith("it: asks for a model of ")
    monkeypatch.setenv(ALLOW_LARGE, "1")
    check_fits(model.config, "it", training=True)
    monkeypatch.delenv(ALLOW_LARGE)
    machine_of(None)
    check_fits(model.config, "it", training=True)


def test_all_that_makes_a_model_asks_whether_it_fits(folder, tensors, make_run, machine_of, tmp_path):
    torch.save(tensors, tmp_path / "a.pth")
    run = make_run()
    machine_of(1000)
    for do in (
        lambda: open_model(folder),
        lambda: open_original(tmp_path / "a.pth", OriginalOptions()),
        lambda: newest_state("torch", run.checkpoints),
        lambda: prepare("torch", make_options(output=tmp_path / "new"), {"output"}),
        lambda: convert(folder, tmp_path / "new", "torch"),
    ):
        assert "asks for a model of " in refused(do)


def test_a_million_labels_are_checked_at_once(folder):
    content = json.loads((folder / "config.json").read_text())
    content["labels"] = ["O", *(f"{p}-{i:x}" for i in range(500_000) for p in "BI")]
    (folder / "config.json").write_text(json.dumps(content))
    assert refused(open_model, folder) == f"{folder}/config.json: 1000001 labels for num_labels 9"


# Silent changes of weights are detected.


def test_the_digest_is_of_the_weights_and_not_of_their_form(model, saved_model, saved_orbax):
    digests = {json.loads((f / "config.json").read_text())["weights_sha256"] for f in (saved_model, saved_orbax)}
    assert digests == {digest(model.weights)}
    assert digest(dict(reversed(model.weights.items()))) == digest(model.weights)
    assert digest({name: np.asfortranarray(value) for name, value in model.weights.items()}) == digest(model.weights)


@pytest.mark.parametrize(
    "change", [lambda v: v.reshape(-1, 1), lambda v: v.astype(np.float64), lambda v: v.view(np.int32), lambda v: -v]
)
def test_the_digest_sees_shape_type_and_every_bit(model, change):
    bias = model.weights["classifier.bias"]
    assert digest({**model.weights, "classifier.bias": change(bias)}) != digest(model.weights)
    renamed = {name: value for name, value in model.weights.items() if name != "classifier.bias"}
    assert digest({**renamed, "classifier.bias2": bias}) != digest(model.weights)


def test_orbax_weights_that_are_another_models_are_seen(orbax_model, folder, model):
    other = dataclasses.replace(model, weights={name: value + 1 for name, value in model.weights.items()})
    save_model(folder, other)
    (orbax_model / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert "the weights are not those that were saved with config.json" in refused(open_model, orbax_model)
