"""One result on any number of devices and processes, and the same in both versions.

The reference is PyTorch in one process. The second of the standard batches has nearly all its labels in its first row,
which would reveal a mean of the devices' means; each batch ends with rows of padding. A run has 90 sentences in batches
of 20, so the last batch of an epoch is smaller.
"""

import numpy as np
import pytest

from hybridner.batches.encoding import IGNORED
from hybridner.batches.packing import ShapePlan
from hybridner.parity.bars import BARS
from hybridner.parity.devices import compare_traces
from hybridner.parity.samples import standard_batches
from parity_tests.conftest import free_port, run_python
from parity_tests.on_devices import BATCH_SIZE, MOST_DEVICES, RUNS, SKIPPING, SMALL, STEPS, run_data, traced

pytestmark = pytest.mark.slow

BARS_OF = {
    "dropout on": BARS["float64"],
    "dropout off": BARS["float64"],
    "float32": BARS["float32"],
    **dict.fromkeys((*RUNS, SKIPPING), BARS["float64"]),
}


@pytest.fixture(scope="module")
def one_process():
    return {variant: traced("torch", "jit", variant)[1] for variant in BARS_OF}


@pytest.fixture(scope="module")
def two_flax_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    variants = ["dropout off", "float32"]
    args = ["-m", "parity_tests.on_devices", "flax", "pmap", "2", str(folder), *variants]
    run_python((args, {"JAX_NUM_CPU_DEVICES": 2}))
    return {variant: dict(np.load(folder / f"pmap {variant}.npz")) for variant in variants}


@pytest.fixture(scope="module")
def eight_flax_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    args = ["-m", "parity_tests.on_devices", "flax", "jit,pmap,mesh", str(MOST_DEVICES), str(folder), *RUNS, SKIPPING]
    run_python((args, {"JAX_NUM_CPU_DEVICES": MOST_DEVICES}))
    ways, variants = ("jit", "pmap", "mesh"), (*RUNS, SKIPPING)
    return {(way, variant): dict(np.load(folder / f"{way} {variant}.npz")) for way in ways for variant in variants}


@pytest.fixture(scope="module")
def two_flax_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    args = ["-m", "parity_tests.on_devices", "flax", "mesh", "2", str(folder), *RUNS, SKIPPING]
    env = {"COORDINATOR": f"127.0.0.1:{free_port()}", "NUM_PROCESSES": 2, "JAX_NUM_CPU_DEVICES": 1}
    run_python(*((args, {**env, "PROCESS_ID": rank}) for rank in range(2)))
    return {variant: dict(np.load(folder / f"mesh {variant}.npz")) for variant in (*RUNS, SKIPPING)}


@pytest.mark.parametrize("variant", BARS_OF)
def test_two_pytorch_processes_give_what_one_gives(torch_processes, one_process, variant):
    finding = compare_traces(torch_processes[variant], one_process[variant], BARS_OF[variant])
    assert finding.passed, finding


@pytest.mark.parametrize("variant", ["dropout off", "float32"])
def test_two_flax_devices_give_what_one_pytorch_process_gives(two_flax_devices, one_process, variant):
    finding = compare_traces(two_flax_devices[variant], one_process[variant], BARS_OF[variant])
    assert finding.passed, finding


@pytest.mark.parametrize("run", [*RUNS, SKIPPING])
@pytest.mark.parametrize("way", ["jit", "pmap", "mesh"])
def test_a_run_on_one_flax_device_or_eight_is_the_run_of_one_pytorch_process(eight_flax_devices, one_process, way, run):
    finding = compare_traces(eight_flax_devices[way, run], one_process[run], BARS_OF[run])
    assert finding.passed, finding


@pytest.mark.parametrize("run", [*RUNS, SKIPPING])
def test_a_run_of_two_flax_processes_is_the_run_of_one_pytorch_process(two_flax_processes, one_process, run):
    finding = compare_traces(two_flax_processes[run], one_process[run], BARS_OF[run])
    assert finding.passed, finding


def test_a_run_has_fifty_losses_a_smaller_last_batch_and_dropout_that_matters(one_process):
    on, off = one_process[RUNS[0]], traced("torch", "jit", "run, dropout off")[1]
    assert sum(key.startswith("step/") for key in on) == STEPS == 50
    encoded, _ = run_data()
    assert 0 < len(encoded) % BATCH_SIZE < BATCH_SIZE
    assert 2 * -(-len(encoded) // BATCH_SIZE) < STEPS
    assert len(ShapePlan(encoded.lengths, BATCH_SIZE, MOST_DEVICES).shapes) > 1
    assert abs(on["step/49"] - off["step/49"]) > 1e-3
    assert off["step/49"] < 0.9 * off["step/0"]


def test_steps_that_are_not_finite_are_skipped_on_any_number_of_devices(one_process):
    assert one_process[SKIPPING]["count"].tolist() == [5, 2]


def test_the_batches_spread_their_labels_unevenly():
    first, second = (
        [int((half != IGNORED).sum()) for half in np.split(batch.labels, 2)]
        for batch in standard_batches(SMALL, row_multiple=8)[1:]
    )
    assert first[0] > 5 * first[1]
    assert second[0] > second[1]
    assert min(first[0], second[0]) > 0
