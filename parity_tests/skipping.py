"""Steps of a learner that skips non-finite ones: the run equals one without them."""

from dataclasses import replace

import numpy as np

from hybridner.batches.batch import Batch
from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.files.tensors import Weights
from hybridner.model.learner import Learner, TrainingState
from hybridner.model.parts import EMBEDDING
from hybridner.parity.devices import Trace
from hybridner.parity.samples import random_weights, standard_batches

LEARNING_RATES = (1e-3, 5e-4, 2e-3, 1e-3, 1e-3)
BAD_STEPS = {1: "loss", 3: "gradient"}


def weights_for(config: ModelConfig) -> Weights:
    """Make weights with which every batch is finite, unless it has the last piece or the last label.

    The embedding of the last piece is infinite, so the loss of a batch with it is not a number. The logit of the last
    label is 1e200 times the others and far below them: where that label is right, loss and gradient are finite, but
    the gradient's square is not.
    """
    weights = {name: value.astype(np.float64) for name, value in random_weights(config, 3).items()}
    weights[EMBEDDING][-1] = np.inf
    weights["classifier.weight"][-1] *= 1e200
    weights["classifier.bias"][-1] = -1e202
    return weights


def batches_for(config: ModelConfig, bad: str | None = None, row_multiple: int = 1) -> list[Batch]:
    """Return the standard batches without the last piece and label; if ``bad``, each contains one of the two."""
    batches = []
    for batch in standard_batches(config, row_multiple=row_multiple):
        last_label = batch.labels == config.num_labels - 1
        input_ids = np.where(batch.input_ids == config.input.vocab_size - 1, 1, batch.input_ids)
        labels = np.where(last_label, 0, batch.labels)
        row, column = np.argwhere(labels != IGNORED)[-1]
        if bad == "loss":
            input_ids[row, column] = config.input.vocab_size - 1
        elif bad == "gradient":
            labels[row, column] = config.num_labels - 1
        batches.append(replace(batch, input_ids=input_ids, labels=labels))
    return batches


def skipping_trace(learner: Learner, row_multiple: int = 1) -> Trace:
    """Return the losses of some steps, and the state after them without the parts that are too large to compare."""
    config = learner.config
    learner.init(weights_for(config))
    found: Trace = {}
    for i, learning_rate in enumerate(LEARNING_RATES):
        batch = batches_for(config, BAD_STEPS.get(i), row_multiple)[i % 3]
        loss = float(learner.step(batch, learning_rate).loss_sum)
        found |= {f"step/{i}": np.asarray(loss)} if np.isfinite(loss) else {f"skipped/{i}": np.ones(1)}
    state = learner.snapshot()
    for kind in ("weights", "exp_avg", "exp_avg_sq", "average"):
        found |= {f"{kind}/{name}": value for name, value in comparable(getattr(state, kind)).items()}
    return {**found, "count": np.array([state.step, state.skipped])}


def comparable(weights: Weights) -> Weights:
    """Return all rows except the last piece's and the last label's."""
    cut = {EMBEDDING, "classifier.weight", "classifier.bias"}
    return {name: value[:-1] if name in cut else value for name, value in weights.items()}


def states_differ(a: TrainingState, b: TrainingState) -> list[str]:
    """Return the names of the arrays whose bits differ."""
    return [
        f"{kind} {name}"
        for kind in ("weights", "exp_avg", "exp_avg_sq", "average")
        for name, value in getattr(a, kind).items()
        if value.tobytes() != getattr(b, kind)[name].tobytes()
    ]
