"""Runs over several devices that stop within an epoch and resume."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path

import hybridner
from hybridner.runs.checkpoints import newest_state
from hybridner.corpora.sample import sample_sentences
from hybridner.parity.errors import bitwise_difference

place, parallel = Path(sys.argv[1]), sys.argv[2]
(place / "corpus").mkdir()
for split, count in (("train", 30), ("valid", 4)):
    rows = ["".join(f"{w}\\t{t}\\n" for w, t in zip(s.words, s.tags)) for s in list(sample_sentences(split))[:count]]
    (place / "corpus" / f"{split}.txt").write_text("\\n".join(rows), encoding="utf-8")
options = dict(preset="tiny", hidden_size=16, num_heads=2, num_encoder_layers=1, vocab_size=200, max_length=64,
               batch_size=10, epochs=9, log_every=1, parallel=parallel, data=str(place / "corpus"), average=0.9)
whole = hybridner.train("flax", output=place / "whole", max_steps=4, **options).folder
hybridner.train("flax", output=place / "parts", max_steps=2, **options)
parts = hybridner.train("flax", output=place / "parts", resume=True, max_steps=4).folder
a, b = (newest_state("flax", run / "checkpoints").state for run in (whole, parts))
for kind in ("weights", "exp_avg", "exp_avg_sq", "average"):
    assert bitwise_difference(getattr(a, kind), getattr(b, kind)) is None, kind
print("the same bits")
if parallel == "pmap":
    hybridner.train("flax", output=place / "parts", resume=True, max_steps=5, parallel="jit")
"""


@pytest.mark.parametrize("parallel", ["pmap", "mesh"])
def test_a_run_over_two_devices_goes_on_bit_for_bit_and_over_one_says_that_it_is_not(parallel, tmp_path):
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), parallel]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("the same bits")
    assert "no longer bit for bit" not in before
    if parallel == "pmap":
        said = " ".join(after.split())
        assert "device 2 × cpu → cpu, spread pmap → jit: numbers agree up to rounding, no longer bit for bit" in said
