"""Training states on disk, in either backend's format."""

import dataclasses
import errno
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hybridner.config.model import original_model
from hybridner.errors import CannotWriteError, InputError
from hybridner.model.learner import TrainingState
from hybridner.model.twins import BACKENDS
from hybridner.model.weights import initial_weights, weight_shapes
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import open_checkpoints

CONFIG = original_model(vocab_size=20, num_labels=3, hidden_size=16, num_encoder_layers=1, max_length=16)
KINDS = ("weights", "exp_avg", "exp_avg_sq")
PROGRESS = {
    "progress": {"epoch": 2, "epoch_loss": 0.1 + 0.2, "best": {"valid": {"f1": 1 / 3}}},
    "model": dataclasses.asdict(CONFIG),
    "labels": ["O"],
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def opened(backend, tmp_path):
    """Open the checkpoints of a folder; close all at the end."""
    stores = []

    def opened(folder=tmp_path / "checkpoints", **options):
        stores.append(open_checkpoints(backend, folder, **options))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def saved(opened, tmp_path):
    """Save the states of some steps and return their folder."""

    def saved(*steps, **options):
        store = opened(**options)
        for step in steps:
            store.save(state_of(step), CONFIG, PROGRESS)
        store.close()
        return tmp_path / "checkpoints"

    return saved


def state_of(step, dtype="float32"):
    """Make a training state of numbers that a conversion through another type would change."""
    rng = np.random.Generator(np.random.Philox(step))
    kinds = [
        {name: (rng.standard_normal(shape) * 1e-3).astype(dtype) for name, shape in weight_shapes(CONFIG).items()}
        for _ in KINDS
    ]
    kinds[2]["classifier.bias"][:] = [5e-324 if dtype == "float64" else 1e-45, 0.0, -0.0]
    return TrainingState(*kinds, step=step)


def assert_same(a, b):
    assert a.step == b.step
    for kind in KINDS:
        assert bitwise_difference(getattr(a, kind), getattr(b, kind)) is None


def steps_in(folder):
    return {path.name for path in folder.iterdir()}


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_saved_is_restored_bit_for_bit(opened, dtype):
    store = opened()
    store.save(dataclasses.replace(state_of(7, dtype), skipped=3), CONFIG, PROGRESS)
    store.close()
    state, progress, notes = opened().restore()
    assert_same(state, state_of(7, dtype))
    assert state.skipped == 3
    assert state.average is None
    assert progress == PROGRESS
    assert notes == []


def test_the_newest_is_restored_and_the_last_few_and_the_best_are_kept(opened, tmp_path):
    store = opened(keep=2)
    assert store.latest_step() is None
    for step in (3, 20, 100, 200):
        store.save(state_of(step), CONFIG, {**PROGRESS, "at": step}, best_step=20)
    store.close()
    assert steps_in(tmp_path / "checkpoints") == {"20", "100", "200"}
    again = opened()
    assert again.latest_step() == 200
    assert_same(again.restore().state, state_of(200))
    assert again.restore().progress["at"] == 200
    assert_same(again.restore(20).state, state_of(20))


def test_a_step_saved_again_takes_the_place_of_the_first(opened, tmp_path):
    store = opened()
    store.save(state_of(5), CONFIG, {**PROGRESS, "round": 1})
    other = TrainingState(*(getattr(state_of(6), kind) for kind in KINDS), step=5)
    store.save(other, CONFIG, {**PROGRESS, "round": 2})
    store.close()
    state, progress, _ = opened().restore()
    assert_same(state, other)
    assert progress["round"] == 2
    assert steps_in(tmp_path / "checkpoints") == {"5"}


def test_a_half_written_step_is_not_there(opened, saved):
    folder = saved(5)
    shutil.copytree(folder / "5", folder / "8.partial")
    for path in files(folder / "8.partial")[::2]:
        path.unlink()
    again = opened()
    assert again.latest_step() == 5
    assert_same(again.restore().state, state_of(5))
    again.save(state_of(8), CONFIG, PROGRESS)  # and it does not interfere
    again.close()
    assert_same(opened().restore().state, state_of(8))
    assert steps_in(folder) == {"5", "8"}


@pytest.mark.parametrize("killed_before_the_second_rename", [True, False])
def test_a_step_being_replaced_is_there_at_every_moment(opened, saved, killed_before_the_second_rename):
    folder = saved(5)
    if killed_before_the_second_rename:
        (folder / "5").rename(folder / "5.old")
    else:
        shutil.copytree(folder / "5", folder / "5.old")
        (folder / "5.old/progress.json").unlink()
    assert_same(opened(read_only=True).restore().state, state_of(5))
    assert_same(opened().restore().state, state_of(5))
    assert steps_in(folder) == {"5"}


@pytest.mark.parametrize("fails", ["mkdir", "write_text", "replace"])
def test_a_save_that_fails_leaves_the_step_before_and_is_told(opened, saved, monkeypatch, fails):
    folder = saved(5)
    store = opened()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "6.partial"))

    monkeypatch.setattr(Path, fails, full)
    store.save(state_of(6), CONFIG, PROGRESS)
    with pytest.raises(CannotWriteError) as caught:
        store.wait()
    monkeypatch.undo()
    assert str(caught.value) == f"{folder}/6: the checkpoint cannot be written (No space left on device: 6.partial)"
    assert steps_in(folder) == {"5"}
    assert_same(store.restore().state, state_of(5))


def test_what_failed_in_the_background_is_told_by_a_look_that_does_not_wait(opened, saved, monkeypatch):
    saved(5)
    store, go_on = opened(), threading.Event()
    monkeypatch.setattr("hybridner.runs.checkpoints._sync_tree", lambda folder: go_on.wait(10) and 1 / 0)
    store.save(state_of(6), CONFIG, PROGRESS)
    store.check()
    go_on.set()
    with pytest.raises(CannotWriteError, match="division by zero"):  # noqa: PT012 - until it is reported
        for _ in range(1000):
            store.check()
            time.sleep(0.01)


def test_reading_only_changes_nothing_on_disk(opened, saved, tmp_path):
    assert opened(tmp_path / "nowhere", read_only=True).latest_step() is None
    assert not (tmp_path / "nowhere").exists()
    folder = saved(5, 8)
    shutil.copytree(folder / "5", folder / "9.partial")
    shutil.copytree(folder / "5", folder / "8.old")
    files(folder / "8")[0].unlink()
    before = sorted(folder.rglob("*"))
    restored = opened(read_only=True).restore()
    assert_same(restored.state, state_of(5))
    assert "the checkpoint of step 5 is used" in restored.notes[0]
    assert sorted(folder.rglob("*")) == before


def test_a_folder_without_a_checkpoint_is_one_line(opened, tmp_path):
    with pytest.raises(InputError) as caught:
        opened().restore()
    assert str(caught.value) == f"{tmp_path}/checkpoints: no checkpoint"


def test_a_damaged_newest_is_named_and_set_aside_and_the_one_before_is_used(opened, saved):
    folder = saved(5, 8)
    (damaged := files(folder / "8")[-1]).write_bytes(b"")
    store = opened()
    state, _, (note,) = store.restore()
    assert_same(state, state_of(5))
    name = damaged.relative_to(folder / "8")
    assert note == (
        f"{folder}/8: the checkpoint is damaged ({name} is not the file that was written); "
        "it was set aside as 8.damaged; the checkpoint of step 5 is used"
    )
    assert store.latest_step() == 5
    for step in (6, 7):
        store.save(state_of(step), CONFIG, PROGRESS)
    store.close()
    assert steps_in(folder) == {"6", "7", "8.damaged"}


@pytest.mark.parametrize("damage", ["emptied", "truncated", "garbled", "removed", "one bit", "swapped", "renamed"])
def test_a_checkpoint_that_is_not_what_was_written_is_one_line_that_names_it(opened, saved, damage):
    folder = saved(5, 8)
    shutil.copytree(folder / "5", folder.parent / "other")
    shutil.rmtree(folder / "5")
    if damage == "renamed":
        (folder / "8").rename(folder / "9")
    for number, path in enumerate(files(folder / "8")):
        content = path.read_bytes()
        if damage == "removed":
            path.unlink()
        elif damage == "swapped" and number == 0:
            path.write_bytes(files(folder.parent / "other")[0].read_bytes())
        elif damage == "one bit" and path.name != "checksums.json":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"0")
        elif damage in ("emptied", "truncated", "garbled"):
            half = content[: len(content) // 2]
            path.write_bytes({"emptied": b"", "truncated": half, "garbled": b"\x00" * len(content)}[damage])
    with pytest.raises(InputError) as caught:
        opened().restore()
    assert str(caught.value).startswith(f"{folder}/{9 if damage == 'renamed' else 8}: the checkpoint is damaged")
    assert "\n" not in str(caught.value)


def test_a_state_larger_than_the_free_disk_is_refused_before_it_is_written(opened, saved, monkeypatch):
    folder = saved(5)
    store = opened()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 100))
    store.save(state_of(6), CONFIG, PROGRESS)
    with pytest.raises(CannotWriteError, match=r"6: the checkpoint cannot be written \(No space left on device\)"):
        store.wait()
    assert_same(store.restore().state, state_of(5))
    assert steps_in(folder) == {"5"}


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_files_have_the_permissions_of_the_umask(saved):
    before = os.umask(0o027)
    try:
        folder = saved(5)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in files(folder)} == {0o640}


def test_a_learner_goes_on_from_what_the_other_twins_checkpoint_holds(opened, backend, tmp_path):
    """A checkpoint's content is canonical, so it does not matter which backend wrote it."""
    weights = initial_weights(CONFIG, 2)
    zeros = {name: np.zeros_like(value) for name, value in weights.items()}
    store = opened()
    store.save(TrainingState(weights, zeros, zeros, 1), CONFIG, PROGRESS)
    store.close()
    state, progress, _ = opened().restore()
    other = next(name for name in BACKENDS if name != backend)
    there = open_checkpoints(other, tmp_path / "there")
    there.save(state, CONFIG, progress)
    there.close()
    assert_same(open_checkpoints(other, tmp_path / "there").restore().state, TrainingState(weights, zeros, zeros, 1))
