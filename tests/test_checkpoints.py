"""Training states on disk, in either twin's own format."""

import shutil

import numpy as np
import pytest

from hybridner.config import ModelConfig
from hybridner.errors import InputError
from hybridner.learner import TrainingState
from hybridner.parity.errors import bitwise_difference
from hybridner.twins import BACKENDS, checkpoint_module, open_checkpoints
from hybridner.weights import initial_weights, weight_shapes

CONFIG = ModelConfig(vocab_size=20, num_labels=3, hidden_size=16, num_encoder_layers=1, max_length=16)
KINDS = ("weights", "exp_avg", "exp_avg_sq")
PROGRESS = {"progress": {"epoch": 2, "epoch_loss": 0.1 + 0.2, "best": {"valid": {"f1": 1 / 3}}}, "labels": ["O"]}


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param


@pytest.fixture
def opened(backend, tmp_path):
    """Open the checkpoints of a folder; all are closed in the end."""
    handles = []

    def opened(folder=tmp_path / "checkpoints", **options):
        handles.append(checkpoint_module(backend).Checkpoints(folder, **options))
        return handles[-1]

    yield opened
    for handle in handles:
        handle.close()


def state_of(step, dtype="float32"):
    """A training state full of numbers that a detour through another type would change."""
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_was_saved_is_restored_bit_for_bit(opened, dtype):
    checkpoints = opened()
    checkpoints.save(state_of(7, dtype), PROGRESS)
    checkpoints.close()
    state, progress = opened().restore()
    assert_same(state, state_of(7, dtype))
    assert progress == PROGRESS


def test_the_newest_of_several_is_restored_and_the_oldest_are_gone(opened, tmp_path):
    checkpoints = opened(max_to_keep=2)
    assert checkpoints.latest_step() is None
    for step in (3, 20, 100):
        checkpoints.save(state_of(step), {"at": step})
    checkpoints.close()
    assert {p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdecimal()} == {"20", "100"}
    again = opened()
    assert again.latest_step() == 100
    state, progress = again.restore()
    assert_same(state, state_of(100))
    assert progress == {"at": 100}


def test_a_step_saved_again_takes_the_place_of_the_first(opened):
    checkpoints = opened()
    checkpoints.save(state_of(5), {"round": 1})
    other = TrainingState(*(getattr(state_of(6), kind) for kind in KINDS), step=5)
    checkpoints.save(other, {"round": 2})
    checkpoints.close()
    state, progress = opened().restore()
    assert_same(state, other)
    assert progress == {"round": 2}


def test_a_half_written_step_is_not_there(opened, backend, tmp_path):
    checkpoints = opened()
    checkpoints.save(state_of(5), {})
    checkpoints.close()
    folder = tmp_path / "checkpoints"
    half = {"torch": "8.partial", "flax": "8.orbax-checkpoint-tmp"}[backend]
    shutil.copytree(folder / "5", folder / half)
    for path in sorted((folder / half).rglob("*"))[::2]:
        if path.is_file():
            path.unlink()
    again = opened()
    assert again.latest_step() == 5
    assert_same(again.restore()[0], state_of(5))
    again.save(state_of(8), {})  # and it is not in the way
    again.close()
    assert_same(opened().restore()[0], state_of(8))


# Orbax writes in the background, where no failure comes at the same moment twice; the test above stands for it.
@pytest.mark.parametrize("backend", ["torch"])
def test_a_save_that_fails_leaves_the_step_before(opened):
    checkpoints = opened()
    checkpoints.save(state_of(5), {})
    with pytest.raises(TypeError):
        checkpoints.save(state_of(6), {"not JSON": object()})
    state, _ = opened().restore()
    assert_same(state, state_of(5))


def test_reading_only_changes_nothing_on_disk(opened, tmp_path):
    assert opened(tmp_path / "nowhere", read_only=True).latest_step() is None
    assert not (tmp_path / "nowhere").exists()
    checkpoints = opened()
    checkpoints.save(state_of(5), {})
    checkpoints.close()
    folder = tmp_path / "checkpoints"
    for unfinished in ("8.partial", "8.orbax-checkpoint-tmp"):
        shutil.copytree(folder / "5", folder / unfinished)
    before = sorted(folder.rglob("*"))
    assert_same(opened(read_only=True).restore()[0], state_of(5))
    assert sorted(folder.rglob("*")) == before


def test_a_folder_without_a_checkpoint_is_one_line(opened, tmp_path):
    checkpoints = opened()
    with pytest.raises(InputError) as caught:
        checkpoints.restore()
    assert str(caught.value) == f"{tmp_path}/checkpoints: no checkpoint"


@pytest.mark.parametrize("damage", ["emptied", "truncated", "garbled"])
def test_a_checkpoint_that_cannot_be_read_is_one_line_that_names_it(opened, tmp_path, damage):
    checkpoints = opened()
    checkpoints.save(state_of(5), {})
    checkpoints.close()
    for path in sorted((tmp_path / "checkpoints" / "5").rglob("*")):
        if path.is_file() and damage == "emptied":
            path.unlink()
        elif path.is_file():
            content = path.read_bytes()
            path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\x00" * len(content))
    with pytest.raises(InputError) as caught:
        opened().restore()
    assert str(caught.value).startswith(f"{tmp_path}/checkpoints/5")
    assert "\n" not in str(caught.value)


def test_a_learner_goes_on_from_what_the_other_twins_checkpoint_holds(opened, backend, tmp_path):
    """What stands in a checkpoint is canonical, so it does not matter which twin wrote it."""
    weights = initial_weights(CONFIG, 2)
    zeros = {name: np.zeros_like(value) for name, value in weights.items()}
    checkpoints = opened()
    checkpoints.save(TrainingState(weights, zeros, zeros, 1), {})
    checkpoints.close()
    state, progress = opened().restore()
    other = next(name for name in BACKENDS if name != backend)
    there = open_checkpoints(other, tmp_path / "there")
    there.save(state, progress)
    there.close()
    back = open_checkpoints(other, tmp_path / "there")
    assert_same(back.restore()[0], TrainingState(weights, zeros, zeros, 1))
    back.close()
