"""A step computed in parts equals the whole step: same loss, gradients and dropout, on one device or several."""

import dataclasses
import socket

import numpy as np
import pytest

from hybridner.parity.bars import BARS
from hybridner.parity.devices import compare_traces
from hybridner_torch import learner as torch_learner
from hybridner_torch import step as torch_step
from parity_tests.conftest import run_python
from parity_tests.in_parts import BATCHES, found

BARS_IN_PARTS = dataclasses.replace(BARS["float64"], devices=1e-12)


@pytest.fixture(scope="module")
def whole():
    return found("torch", "jit", 1)


def finding(trace, whole):
    return compare_traces(trace, whole, BARS_IN_PARTS)


@pytest.mark.parametrize(
    ("backend", "parts"), [("torch", 2), ("torch", 8), pytest.param("flax", 4, marks=pytest.mark.slow)]
)
def test_a_step_in_parts_is_the_step(backend, parts, whole):
    assert all(batch.labels.shape[0] % parts == 0 for batch in BATCHES)
    assert finding(found(backend, "jit", parts), whole).passed


@pytest.mark.slow
def test_two_flax_devices_compute_their_rows_in_parts(whole, tmp_path):
    run_python(
        (["-m", "parity_tests.in_parts", "flax", "2", str(tmp_path), "pmap", "mesh"], {"JAX_NUM_CPU_DEVICES": 2})
    )
    for way in ("pmap", "mesh"):
        assert finding(dict(np.load(tmp_path / f"{way}.npz")), whole).passed, way


@pytest.mark.slow
def test_two_pytorch_processes_compute_their_rows_in_parts(whole, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        env = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free.getsockname()[1]}
    folders = [tmp_path / str(rank) for rank in range(2)]
    for folder in folders:
        folder.mkdir()
    args = ["-m", "parity_tests.in_parts", "torch", "2"]
    run_python(*(([*args, str(folder), "auto"], {"RANK": rank, **env}) for rank, folder in enumerate(folders)))
    for folder in folders:
        assert finding(dict(np.load(folder / "auto.npz")), whole).passed


@pytest.mark.parametrize(
    "bug",
    [
        # Each part as if it were the batch: dropout of the first rows, or a mean of the parts' means.
        (torch_learner, "DropoutStream", lambda right: lambda key, rows: right(key, rows - rows[0])),
        (
            torch_step,
            "token_loss_sum",
            lambda right: lambda logits, labels: right(logits, labels) / (labels >= 0).sum().clamp(min=1),
        ),
    ],
)
def test_a_part_that_takes_itself_for_the_batch_shows(bug, whole, monkeypatch):
    module, name, make = bug
    monkeypatch.setattr(module, name, make(getattr(module, name)))
    assert finding(found("torch", "jit", 2), whole).error > 1e-3
