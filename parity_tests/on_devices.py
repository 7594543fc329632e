"""What a twin makes of the standard batches on the devices or processes of its surroundings, in a process of its own.

``python -m parity_tests.on_devices BACKEND PARALLEL NUM_DEVICES FOLDER VARIANT …`` writes ``FOLDER/VARIANT.npz`` for
each variant: "dropout on", "dropout off", "float32" (dropout on), or the name of a bug that is put in with dropout on.
All but "float32" are computed in float64.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest

from hybridner.config import Dtype, ModelConfig, TrainingConfig
from hybridner.learner import Learner
from hybridner.parity.devices import Trace, trace
from hybridner.parity.samples import random_weights, standard_batches
from hybridner.twins import learner_class
from parity_tests.bugs import BUGS

SMALL = ModelConfig(
    vocab_size=60, num_labels=5, hidden_size=32, num_heads=4, num_encoder_layers=2, max_length=64, dropout=0.25
)
# Far from zero a LayerNorm that takes the variance as E[x²] − E[x]² shows; float32 has no room for it.
EMBEDDING_MEAN = {"float64": 500.0, "float32": 0.0}


def traced(backend: str, parallel: str, variant: str) -> tuple[Learner, Trace]:
    """A learner, and what it gives."""
    config = replace(SMALL, dropout=0.0) if variant == "dropout off" else SMALL
    dtype: Dtype = "float32" if variant == "float32" else "float64"
    options = TrainingConfig(dtype=dtype, parallel=parallel, device="cpu", clip_norm=0.1, weight_decay=0.05)
    with pytest.MonkeyPatch.context() as patch:
        if variant in BUGS:
            BUGS[variant].inject(patch)
        learner = learner_class(backend)(config, options)
        learner.init(random_weights(config, 3, EMBEDDING_MEAN[dtype]))
        found = trace(learner, standard_batches(config, row_multiple=8), [1e-3, 5e-4, 2e-3])
    return learner, found


if __name__ == "__main__":
    backend, parallel, num_devices, folder, *variants = sys.argv[1:]
    for variant in variants:
        learner, found = traced(backend, parallel, variant)
        assert learner.row_multiple == int(num_devices), learner.device
        if learner.rank == 0:
            np.savez(f"{folder}/{variant}.npz", **found)
