"""One result on any number of devices and processes, and the same in both twins.

The reference is the PyTorch twin in one process. The second of the standard batches has nearly all its labels in its
first row, so that a mean of the devices' means would show; rows of padding alone stand at the end of each.
"""

import numpy as np
import pytest

from hybridner.data.encoding import IGNORED
from hybridner.parity.bars import BARS
from hybridner.parity.devices import compare_traces
from hybridner.parity.samples import standard_batches
from parity_tests.conftest import run_python
from parity_tests.on_devices import SMALL, traced

BARS_OF = {"dropout on": BARS["float64"], "dropout off": BARS["float64"], "float32": BARS["float32"]}


@pytest.fixture(scope="module")
def one_process():
    return {variant: traced("torch", "jit", variant)[1] for variant in BARS_OF}


@pytest.fixture(scope="module")
def two_flax_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    variants = ["dropout off", "float32"]
    args = ["-m", "parity_tests.on_devices", "flax", "pmap", "2", str(folder), *variants]
    run_python((args, {"JAX_NUM_CPU_DEVICES": 2}))
    return {variant: dict(np.load(folder / f"{variant}.npz")) for variant in variants}


@pytest.mark.parametrize("variant", BARS_OF)
def test_two_pytorch_processes_give_what_one_gives(torch_processes, one_process, variant):
    finding = compare_traces(torch_processes[variant], one_process[variant], BARS_OF[variant])
    assert finding.held, finding


@pytest.mark.parametrize("variant", ["dropout off", "float32"])
def test_two_flax_devices_give_what_one_pytorch_process_gives(two_flax_devices, one_process, variant):
    finding = compare_traces(two_flax_devices[variant], one_process[variant], BARS_OF[variant])
    assert finding.held, finding


def test_the_batches_spread_their_labels_unevenly():
    first, second = (
        [int((half != IGNORED).sum()) for half in np.split(batch.labels, 2)]
        for batch in standard_batches(SMALL, row_multiple=8)[1:]
    )
    assert first[0] > 5 * first[1]
    assert second[0] > second[1]
    assert min(first[0], second[0]) > 0
