"""Each check can fail: with a deliberate bug in one version, the check named with the bug is the first to catch it."""

import pytest

import hybridner
from hybridner.config.presets import make_options
from hybridner.parity.bars import BARS, CHECKS
from hybridner.parity.devices import compare_traces
from hybridner.parity.ladder import climb
from hybridner.parity.runs import compare_training, read_run
from parity_tests.bugs import BUGS
from parity_tests.conftest import RUN_OPTIONS
from parity_tests.on_devices import SMALL, WITH_VECTORS, WORDS, traced

pytestmark = pytest.mark.slow

STEPS = make_options("original", learning_rate=1e-3, warmup_steps=3, schedule="linear")
RATES = [STEPS.optimization.learning_rate_at(step, 6) for step in range(6)]
F64 = BARS["float64"]
MODELS = {"pieces": SMALL, "words": WORDS, "words with vectors": WITH_VECTORS}
OPTIONS = {"pieces": {"clip_norm": 0.1, "weight_decay": 0.05}}
OPTIONS["words"] = {**OPTIONS["pieces"], "decayed": "matrices", "beta2": 0.98}
OPTIONS["words with vectors"] = OPTIONS["words"]


def first_to_fail(findings):
    return next((finding.check for finding in findings if not finding.passed), None)


def of_rung(*rungs):
    return pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.check in rungs])


@pytest.fixture(scope="session")
def climbed(make_twins):
    def climbed(reads="pieces"):
        return climb(make_twins, MODELS[reads], "float64", learning_rates=RATES, **OPTIONS[reads])

    return climbed


@pytest.fixture(scope="session")
def torch_run(corpus, tmp_path_factory):
    def run():
        output = tmp_path_factory.mktemp("run") / "torch"
        return read_run(hybridner.train("torch", data=str(corpus), output=output, **RUN_OPTIONS).folder)

    return run


@pytest.fixture(scope="session")
def one_process():
    return traced("torch", "jit", "dropout on")[1]


def test_the_unbroken_twins_hold_every_rung(climbed, flax_run, torch_run, torch_processes, one_process):
    assert first_to_fail(climbed("words")) is None
    assert first_to_fail(climbed("words with vectors")) is None
    found = [
        *climbed(),
        compare_training(flax_run, torch_run(), F64),
        compare_traces(torch_processes["dropout on"], one_process, F64),
    ]
    assert [finding.check for finding in found] == list(CHECKS)
    assert first_to_fail(found) is None, found


@of_rung("weights", "activations", "gradients", "dropout", "optimizer")
def test_a_broken_twin_is_seen_first_by(name, climbed, monkeypatch):
    BUGS[name].inject(monkeypatch)
    assert first_to_fail(climbed(BUGS[name].reads)) == BUGS[name].check


@of_rung("training")
def test_a_broken_run_is_seen_by_the_rung_of_training_alone(name, climbed, flax_run, torch_run, monkeypatch):
    BUGS[name].inject(monkeypatch)
    assert first_to_fail([compare_training(flax_run, torch_run(), F64)]) == "training"


@of_rung("devices")
def test_broken_processes_are_seen_by_the_rung_of_devices_alone(name, torch_processes, one_process):
    assert first_to_fail([compare_traces(torch_processes[name], one_process, F64)]) == "devices"


def test_every_rung_sees_a_bug():
    assert {bug.check for bug in BUGS.values()} == set(CHECKS)
    assert len(BUGS) >= 70
