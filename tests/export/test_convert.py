"""``hybridner convert``: models and runs in other forms, with the same bits, whole or not at all."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import hybridner
from hybridner.cli import run as command
from hybridner.cli.parse import guarded
from hybridner.config.presets import make_options
from hybridner.export import convert as conversion
from hybridner.model.learner import TrainingState
from hybridner.model.weights import initial_weights
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import _checksums, newest_state, open_checkpoints
from hybridner.runs.run_dir import RunDir
from hybridner.saved.folder import save_model
from hybridner.saved.open import open_model
from hybridner.saved.original import save_original
from hybridner.tagging.tagger import Tagger

KINDS = ("weights", "exp_avg", "exp_avg_sq")
RECORDS = '{"event": "step", "step": 3}\n{"event": "epoch", "epoch": 1}\n'
FRAMEWORKS = {"flax": ("jax", "flax", "optax", "orbax"), "torch": ("torch",)}


@pytest.fixture
def convert(capsys):
    """Run the command, which must succeed; return the printed lines."""

    def convert(*args):
        assert guarded(lambda: command(["convert", *map(str, args)])) == 0, capsys.readouterr().err
        return capsys.readouterr().out.splitlines()

    return convert


@pytest.fixture
def refused(capsys, tmp_path):
    """Run the command, which must fail and change nothing; return its message."""

    def refused(*args):
        before = contents(tmp_path)
        assert guarded(lambda: command(["convert", *map(str, args)])) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1, printed.err
        assert printed.out == ""
        assert contents(tmp_path) == before
        return printed.err

    return refused


@pytest.fixture
def make_run(tmp_path, model):
    """Make a run in the middle of training with one of the backends."""

    def make_run(backend="torch", config=model.config, dtype="float32", **options):
        run = RunDir(tmp_path / f"run-{backend}")
        run.create(make_options("tiny", **options), backend)
        run.metrics.write_text(RECORDS)
        run.curves.write_bytes(b"png")
        model.tokenizer.save(run.tokenizer)
        run.tensorboard.mkdir()
        (run.tensorboard / "events").write_bytes(b"events")
        save_model(run.best, model)
        checkpoints = open_checkpoints(backend, run.checkpoints)
        for step in (3, 12):
            checkpoints.save(state_of(config, step, dtype), config, progress_of(config))
        checkpoints.close()
        return run

    return make_run


def state_of(config, step, dtype="float32"):
    kinds = [initial_weights(config, seed) for seed in (step, step + 1, step + 2)]
    kinds = [{name: (value / 3).astype(dtype) for name, value in kind.items()} for kind in kinds]
    kinds[2]["classifier.bias"][:3] = [1e-40, 0.0, -0.0]
    return TrainingState(*kinds, step=step)


def progress_of(config):
    progress = {"epoch": 1, "batch": 2, "epoch_loss": 0.1 + 0.2, "metrics_bytes": len(RECORDS) - 30}
    return {"progress": progress, "model": dataclasses.asdict(config), "labels": ["O"]}


def newest(backend, folder):
    return newest_state(backend, folder / "checkpoints")[:2]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def same_state(a, b):
    return a.step == b.step and all(bitwise_difference(getattr(a, k), getattr(b, k)) is None for k in KINDS)


def change_progress(run, change):
    shutil.rmtree(run.checkpoints / "3")  # which would be used instead
    folder = run.checkpoints / "12"
    content = json.loads((folder / "progress.json").read_text())
    change(content)
    (folder / "progress.json").write_text(json.dumps(content))
    (folder / "checksums.json").write_text(json.dumps(_checksums(folder)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_goes_to_the_other_twin_and_back_bit_for_bit(make_run, convert, model, tmp_path, dtype):
    run = make_run("torch", dtype=dtype)
    there, back = tmp_path / "there", tmp_path / "back"
    said = convert(run.folder, there, "--to", "flax")
    tensors = len(model.weights)
    assert said[0].startswith(
        f"{run.folder} (torch) → {there} (flax): run at step 12 with both Adam moments; {tensors}"
    )
    assert said[1] == f"resume with: python train_flax.py --output {there} --resume"
    convert(there, back, "--to", "torch")
    for backend, folder in (("flax", there), ("torch", back)):
        state, progress = newest(backend, folder)
        assert same_state(state, state_of(model.config, 12, dtype))
        assert progress == progress_of(model.config)
        assert RunDir(folder).read_options() == (make_options("tiny"), backend)
        for name in ("metrics.jsonl", "curves.png", "tokenizer.json", "tensorboard/events"):
            assert (folder / name).read_bytes() == (run.folder / name).read_bytes()
        assert contents(folder / "best") == contents(run.best)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["back", "run-torch", "there"]


def test_a_run_can_become_another_of_its_own_twin(make_run, convert, model, tmp_path):
    run = make_run("torch", seed=7)
    convert(run.folder, tmp_path / "copy", "--to", "torch")
    assert RunDir(tmp_path / "copy").read_options() == run.read_options()
    assert same_state(newest("torch", tmp_path / "copy")[0], state_of(model.config, 12))


def test_a_source_is_only_read(make_run, convert, tmp_path):
    run = make_run("flax")
    half = run.checkpoints / "15.orbax-checkpoint-tmp"  # another process' unfinished save
    half.mkdir()
    before = contents(run.folder)
    convert(run.folder, tmp_path / "new", "--to", "torch")
    assert contents(run.folder) == before


def test_a_run_without_a_best_model_moves_too(make_run, convert, tmp_path):
    run = make_run()
    shutil.rmtree(run.best)
    convert(run.folder, tmp_path / "new", "--to", "torch")
    assert not (tmp_path / "new" / "best").exists()


def test_a_best_model_caught_between_two_renames_moves_too(make_run, convert, model, tmp_path):
    run = make_run()
    run.best.rename(run.folder / "best.old")
    convert(run.folder, tmp_path / "new", "--to", "torch")
    assert bitwise_difference(open_model(tmp_path / "new" / "best").weights, model.weights) is None


@pytest.mark.parametrize(("device", "backend"), [("tpu", "torch"), ("mps", "flax")])
def test_a_device_the_other_twin_lacks_becomes_auto_and_that_is_said(make_run, convert, tmp_path, device, backend):
    run = make_run("torch", device=device)
    said = convert(run.folder, tmp_path / "new", "--to", backend)
    assert said[2] == f"device {device} is not one of {backend}'s and became auto"
    assert RunDir(tmp_path / "new").read_options()[0].devices.device == "auto"


def test_a_model_goes_from_form_to_form_and_back_bit_for_bit(saved_model, model, convert, tmp_path):
    source = saved_model
    for number, to in enumerate(["flax", "torch", "original", "torch", "original", "flax", "original"]):
        destination = tmp_path / f"{number}{'.pth' if to == 'original' else ''}"
        said = convert(source, destination, "--to", to)
        assert said[0].startswith(f"{source} → {destination} ({to}): {len(model.weights)} tensors, ")
        opened = open_model(destination)
        assert bitwise_difference(opened.weights, model.weights) is None
        assert opened.labels == model.labels
        source = destination


def test_a_run_means_its_best_model_where_the_original_is_asked_for(make_run, convert, model, tmp_path):
    convert(make_run().folder, tmp_path / "best.pth", "--to", "original")
    assert bitwise_difference(open_model(tmp_path / "best.pth").weights, model.weights) is None


@pytest.mark.parametrize("to", ["flax", "torch"])
def test_an_original_becomes_a_model_that_tags(model, tokenizer, convert, tmp_path, to):
    save_original(tmp_path / "a.pth", model)
    tokenizer.save(tmp_path / "tokenizer.json")
    options = ("--num-heads", 4, "--tokenizer", tmp_path / "tokenizer.json")
    convert(tmp_path / "a.pth", tmp_path / "new", "--to", to, *options)
    words = ["Anna", "knows", "Velmora"]
    expected = Tagger(model, "torch").word_logits([words])[0][0]
    logits = hybridner.load(tmp_path / "new", backend="torch").word_logits([words])[0][0]
    assert np.array_equal(logits, expected)


def test_weights_that_are_not_finite_are_kept_and_said(model, convert, make_run, tmp_path):
    weights = {name: value.copy() for name, value in model.weights.items()}
    weights["classifier.bias"][:2] = [np.nan, np.inf]
    weights["classifier.weight"][0, 0] = -np.inf
    save_model(tmp_path / "model", dataclasses.replace(model, weights=weights))
    said = convert(tmp_path / "model", tmp_path / "a.pth", "--to", "original")
    assert "3 weights are infinite or not a number, in 'classifier.bias' and 1 more; they stay so" in said
    said = convert(tmp_path / "a.pth", tmp_path / "new", "--to", "torch")
    assert "3 weights are infinite or not a number, in 'classifier.bias' and 1 more; they stay so" in said
    assert bitwise_difference(open_model(tmp_path / "new").weights, weights) is None


def test_no_lstm_is_said(model, convert, tmp_path):
    save_original(tmp_path / "a.pth", model)
    said = convert(tmp_path / "a.pth", tmp_path / "new", "--to", "torch", "--no-lstm")
    assert "--no-lstm: the file's 4 tensors of the LSTM are left out" in said
    assert not open_model(tmp_path / "new").config.lstm is not None


@pytest.mark.parametrize("to", ["flax", "torch", "original"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_destination_that_exists_is_never_touched(saved_model, refused, tmp_path, to, kind):
    destination = tmp_path / "taken.pth"
    destination.write_text("mine") if kind == "file" else destination.mkdir()
    assert "taken.pth: is there already" in refused(saved_model, destination, "--to", to)


@pytest.mark.parametrize(("to", "name"), [("torch", "new"), ("original", "new.pth")])
def test_what_stands_beside_the_destination_is_never_touched(saved_model, convert, tmp_path, to, name):
    (tmp_path / f"{name}.old").mkdir()
    (tmp_path / f"{name}.old" / "mine").write_text("mine")
    convert(saved_model, tmp_path / name, "--to", to)
    assert (tmp_path / f"{name}.old" / "mine").read_text() == "mine"


@pytest.mark.parametrize(("to", "nearest"), [("torhc", "torch"), ("orginal", "original"), ("Flax", "flax")])
def test_a_misspelt_form_is_answered_with_the_nearest(saved_model, refused, tmp_path, to, nearest):
    said = refused(saved_model, tmp_path / "new", "--to", to)
    assert f'Invalid value "{to}" for --to.' in said
    assert f'Did you mean "{nearest}"?' in said


def test_a_name_that_does_not_fit_the_form_is_an_error(saved_model, refused, tmp_path):
    assert "--to original writes a file NAME.pth" in refused(saved_model, tmp_path / "new", "--to", "original")
    assert "--to torch write a folder" in refused(saved_model, tmp_path / "new.pth", "--to", "torch")


@pytest.mark.parametrize(
    "options", [["--num-heads", 4], ["--labels", "l.txt"], ["--tokenizer", "t.json"], ["--no-lstm"]]
)
def test_options_of_a_pth_file_with_another_source_are_an_error(saved_model, make_run, refused, tmp_path, options):
    for source in (saved_model, make_run().folder):
        said = refused(source, tmp_path / "new", "--to", "torch", *options)
        assert f"{source}: not a .pth file, and {options[0]} belongs to such a file" in said


def test_a_source_that_is_not_there_is_an_error(refused, tmp_path):
    for name in ("nowhere", "nowhere.pth"):
        assert "no such file or folder" in refused(tmp_path / name, tmp_path / "new", "--to", "torch")


@pytest.mark.parametrize("part", ["empty", "no folder"])
@pytest.mark.parametrize("backend", ["torch", "flax"])
def test_a_run_without_a_checkpoint_is_an_error(refused, tmp_path, backend, part):
    run = RunDir(tmp_path / "run")
    run.create(make_options("tiny"), backend)
    if part == "empty":
        run.checkpoints.mkdir()
    said = refused(run.folder, tmp_path / "new", "--to", "torch")
    assert f"{run.folder}: a run without a checkpoint yet" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["model"].update(num_labels=7), "tensor 'classifier.bias' has shape (9,), expected (7,)"),
        (lambda p: p.pop("model"), "checkpoints/12/progress.json: 'model' is missing or not an object"),
    ],
)
def test_a_checkpoint_whose_parts_do_not_fit_is_an_error(make_run, refused, tmp_path, change, words):
    run = make_run()
    change_progress(run, change)
    assert words in refused(run.folder, tmp_path / "new", "--to", "torch")


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_lacks_a_tensor_is_an_error_that_names_it(make_run, refused, model, tmp_path, kind):
    run = make_run()
    state = state_of(model.config, 13)
    del getattr(state, kind)["lstm.linear_hh.bias"]
    checkpoints = open_checkpoints("torch", run.checkpoints)
    checkpoints.save(state, model.config, progress_of(model.config))
    checkpoints.close()
    for step in (3, 12):
        shutil.rmtree(run.checkpoints / str(step), ignore_errors=True)
    said = refused(run.folder, tmp_path / "new", "--to", "torch")
    assert f"checkpoints/13: {kind}: tensor 'lstm.linear_hh.bias' is missing" in said


@pytest.mark.parametrize("file", ["checkpoints/12/state.safetensors", "checkpoints/12/progress.json", "config.toml"])
def test_a_damaged_run_is_an_error_that_names_the_part(make_run, refused, tmp_path, file):
    run = make_run()
    path = run.folder / file
    path.write_bytes(path.read_bytes()[:40])
    shutil.rmtree(run.checkpoints / "3")
    said = refused(run.folder, tmp_path / "new", "--to", "torch")
    assert f"{run.folder}/{file.removesuffix('/state.safetensors').removesuffix('/progress.json')}: " in said


def test_of_a_run_whose_newest_checkpoint_is_damaged_the_one_before_is_moved_and_that_is_said(
    make_run, convert, model, tmp_path
):
    run = make_run()
    (run.checkpoints / "12/state.safetensors").write_bytes(b"")
    said = convert(run.folder, tmp_path / "new", "--to", "torch")
    assert "run at step 3" in said[0]
    assert f"{run.checkpoints}/12: the checkpoint is damaged" in said[-1]
    assert same_state(newest("torch", tmp_path / "new")[0], state_of(model.config, 3))
    assert (run.checkpoints / "12").is_dir()


def test_a_damaged_best_model_is_not_handed_on(make_run, refused, tmp_path):
    run = make_run()
    weights = run.best / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert f"{weights}: cannot be read" in refused(run.folder, tmp_path / "new", "--to", "torch")


def test_a_run_of_an_unknown_twin_is_an_error(make_run, refused, tmp_path):
    run = make_run()
    run.config.write_text(run.config.read_text().replace('"torch"', '"tensorflow"'))
    assert "no backend 'tensorflow'" in refused(run.folder, tmp_path / "new", "--to", "torch")


def test_truncated_weights_are_an_error(saved_model, refused, tmp_path):
    shutil.copytree(saved_model, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path}: cannot be read" in refused(tmp_path / "model", tmp_path / "new", "--to", "flax")


@pytest.mark.parametrize("tree", [{"other": {"kernel": np.ones((2, 2))}}, np.ones(3), {"a": [np.ones(2)]}])
def test_foreign_orbax_weights_are_one_line(saved_model, convert, refused, tmp_path, tree):
    import orbax.checkpoint as ocp

    convert(saved_model, tmp_path / "model", "--to", "flax")
    shutil.rmtree(tmp_path / "model" / "model.orbax")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model" / "model.orbax", tree)
    refused(tmp_path / "model", tmp_path / "new", "--to", "torch")


@pytest.mark.parametrize("missing", ["flax", "torch"])
def test_a_framework_that_a_move_needs_is_named(make_run, refused, tmp_path, monkeypatch, missing):
    run = make_run("torch")
    find_spec = hybridner.model.twins.importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in FRAMEWORKS[missing] else find_spec(name)
    )
    said = refused(run.folder, tmp_path / "new", "--to", "flax")
    assert f"{run.folder}: a run is moved with its own framework and the other one" in said
    assert f"pip install 'hybridner[{missing}]'" in said


@pytest.mark.parametrize(("to", "needs"), [("flax", "flax"), ("original", "torch")])
def test_a_framework_that_a_form_needs_is_named(saved_model, refused, tmp_path, monkeypatch, to, needs):
    find_spec = hybridner.model.twins.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in FRAMEWORKS[needs] else find_spec(name))
    destination = tmp_path / ("new.pth" if to == "original" else "new")
    assert f"pip install 'hybridner[{needs}]'" in refused(saved_model, destination, "--to", to)


def test_a_place_that_cannot_be_written_is_an_error(saved_model, make_run, refused, tmp_path):
    (tmp_path / "file").write_text("")
    run = make_run().folder
    for source, name, to in ((saved_model, "a", "torch"), (run, "a", "torch"), (saved_model, "a.pth", "original")):
        assert "cannot be written" in refused(source, tmp_path / "file" / name, "--to", to)


class Killed(BaseException):
    """A simulated end of the process: nothing is written after it, not even a clean-up."""


class Killer:
    """A counter of Python's writes to disk that ends the process at one of them."""

    def __init__(self):
        self.left = None
        sys.addaudithook(self)  # permanent: a hook cannot be removed

    def __call__(self, event, args):
        if self.left is None:
            return
        writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate") or (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writes:
            self.left = max(0, self.left - 1)
            if self.left == 0:
                raise Killed


@pytest.fixture(scope="module")
def killer():
    return Killer()


@pytest.mark.parametrize(("kind", "at_least"), [("run", 12), ("model", 5), ("original", 3)])
def test_a_conversion_killed_at_any_moment_leaves_nothing_or_the_whole(
    make_run, saved_model, convert, killer, tmp_path, kind, at_least
):
    source = make_run().folder if kind == "run" else saved_model
    destination = tmp_path / "out" / ("new.pth" if kind == "original" else "new")
    args = (source, destination, "--to", "original" if kind == "original" else "torch")
    convert(*args)
    whole = contents(destination.parent)
    for moment in range(1, 100):
        shutil.rmtree(destination.parent)
        killer.left = moment
        try:
            conversion.convert(source, destination, args[3])
            break
        except Killed:
            pass
        finally:
            killer.left = None
        assert not destination.exists()
        convert(*args)  # the leftovers do not interfere, and disappear
        assert contents(destination.parent) == whole
    assert contents(destination.parent) == whole
    assert moment > at_least


@pytest.mark.parametrize("to", ["flax", "torch"])
def test_a_process_killed_just_before_the_end_leaves_nothing(make_run, convert, model, tmp_path, to):
    run, destination = make_run(), tmp_path / "new"
    code = """
import os, signal, sys
from pathlib import Path
from hybridner.export.convert import convert

def hook(event, args):
    if event == "os.rename" and str(args[1]) == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
convert(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
"""
    done = subprocess.run([sys.executable, "-c", code, str(run.folder), str(destination), to], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.partial", "run-torch"]
    convert(run.folder, destination, "--to", to)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "run-torch"]
    assert same_state(newest(to, destination)[0], state_of(model.config, 12))
