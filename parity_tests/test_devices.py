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


@pytest.fixture(scope="module")
def one_process():
    return {variant: traced("torch", "jit", variant)[1] for variant in ("dropout on", "dropout off")}


@pytest.mark.parametrize("variant", ["dropout on", "dropout off"])
def test_two_pytorch_processes_give_what_one_gives(torch_processes, one_process, variant):
    finding = compare_traces(torch_processes[variant], one_process[variant], BARS["float64"])
    assert finding.held, finding


def test_two_flax_devices_give_what_one_pytorch_process_gives(one_process, tmp_path):
    args = ["-m", "parity_tests.on_devices", "flax", "pmap", "2", str(tmp_path), "dropout off"]
    run_python((args, {"JAX_NUM_CPU_DEVICES": 2}))
    found = dict(np.load(tmp_path / "dropout off.npz"))
    finding = compare_traces(found, one_process["dropout off"], BARS["float64"])
    assert finding.held, finding


def test_the_batches_spread_their_labels_unevenly():
    first, second = (
        [int((half != IGNORED).sum()) for half in np.split(batch.labels, 2)]
        for batch in standard_batches(SMALL, row_multiple=8)[1:]
    )
    assert first[0] > 5 * first[1]
    assert second[0] > second[1]
    assert min(first[0], second[0]) > 0
