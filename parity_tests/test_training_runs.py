"""Training by both scripts on the sample corpus: with the same seed and no dropout, it is one run."""

import numpy as np
import pytest

from hybridner.parity.bars import BARS
from hybridner.parity.runs import compare_training
from parity_tests.conftest import RUN_OPTIONS, run_script

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def torch_run(corpus, tmp_path_factory):
    return run_script("train_torch.py", corpus, tmp_path_factory.mktemp("runs") / "torch")


def test_the_two_scripts_train_the_same_run(flax_run, torch_run):
    finding = compare_training(flax_run, torch_run, BARS["float64"])
    assert finding.passed, finding.where
    assert {"tokenizer", "dev scores", "dev tags", "dev logits"} < set(finding.errors)


def test_the_runs_are_long_enough_to_tell(flax_run):
    assert list(flax_run.losses) == list(range(1, RUN_OPTIONS["max_steps"] + 1))
    assert len(flax_run.dev_scores) == 2  # the second epoch has another order
    losses = np.array(list(flax_run.losses.values()))
    assert losses[-10:].mean() < 0.6 * losses[:10].mean()
    assert np.unique(flax_run.dev_logits, axis=0).shape[0] > 100
