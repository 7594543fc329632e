"""Results of a step computed in parts on several devices or processes, from a separate process.

``python -m parity_tests.in_parts BACKEND NUM_DEVICES FOLDER PARALLEL …`` writes ``FOLDER/PARALLEL.npz`` for each way.
"""

import sys

import numpy as np

from hybridner.config.model import original_model
from hybridner.config.presets import make_options
from hybridner.model.parts import shift_invariant
from hybridner.model.twins import learner_class
from hybridner.parity.devices import Trace
from hybridner.parity.ladder import without
from hybridner.parity.samples import random_weights, standard_batches

CONFIG = original_model(
    vocab_size=60, num_labels=5, hidden_size=16, num_heads=2, num_encoder_layers=1, max_length=64, dropout=0.25
)
# Both end with rows of padding, and the second has nearly all its labels in its first row.
BATCHES = standard_batches(CONFIG, row_multiple=8)[:2]


def found(backend: str, parallel: str, accumulate: int, num_devices: int = 1) -> Trace:
    """Return loss and gradients of each batch, the losses of some steps, and the weights after them."""
    options = make_options(
        "original", dtype="float64", parallel=parallel, device="cpu", clip_norm=0.1, accumulate=accumulate
    )
    learner_class(backend).join(options)
    learner = learner_class(backend)(CONFIG, options)
    zeros = shift_invariant(CONFIG)
    assert learner.row_multiple == num_devices * accumulate
    learner.init(random_weights(CONFIG, 3))
    trace: Trace = {"zero gradients": np.array(sorted(zeros))}
    for number, batch in enumerate(BATCHES):
        loss, gradients = learner.gradients(batch)
        trace[f"loss/{number}"] = np.asarray(loss)
        trace |= {f"gradients/{number}/{name}": value for name, value in gradients.items()}
    for number, batch in enumerate(BATCHES):
        metrics = learner.step(batch, 1e-3)
        trace[f"step/{number}"] = np.asarray(float(metrics.loss_sum) / int(metrics.num_labels))
    return {**trace, **{f"weights/{name}": value for name, value in without(zeros, learner.weights()).items()}}


if __name__ == "__main__":
    backend, num_devices, folder, *ways = sys.argv[1:]
    for way in ways:
        np.savez(f"{folder}/{way}.npz", **found(backend, way, 2, int(num_devices)))
