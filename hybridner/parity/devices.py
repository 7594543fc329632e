"""The check of devices: a learner's results on one device, on several, or in several processes."""

from collections.abc import Iterable, Sequence
from itertools import chain, count, cycle

import numpy as np

from hybridner.batches.batch import Batch, training_batches
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import ShapePlan
from hybridner.model.learner import Probe
from hybridner.model.parts import shift_invariant
from hybridner.parity.bars import Bars, Finding
from hybridner.parity.errors import worst
from hybridner.parity.ladder import gradient_errors, without
from hybridner.tagging.inference import predict_words

Trace = dict[str, np.ndarray]
_ZEROS = "zero gradients"  # key of an array of names


def trace(learner: Probe, batches: Sequence[Batch], learning_rates: Sequence[float]) -> Trace:
    """Collect all results of a learner as arrays for ``np.savez``, which carries them between processes.

    The steps, one per learning rate, follow the logits, losses and gradients of all batches. Each of the learner's
    processes calls this. The batches have rows in a multiple of its ``row_multiple``.

    Returns:
        Arrays named by kind: ``logits/0``, ``loss/0``, ``gradients/0/NAME``, ``step/0``, ``weights/NAME``, …
    """
    zeros = shift_invariant(learner.config)
    found: Trace = {_ZEROS: np.array(sorted(zeros))}
    for i, batch in enumerate(batches):
        loss, gradients = learner.gradients(batch)
        found[f"loss/{i}"] = np.asarray(loss)
        found[f"logits/{i}"] = learner.gather(learner.predict(batch))[batch.attention_mask != 0]
        found |= _named(f"gradients/{i}", gradients)
    found |= _steps(learner, cycle(batches), learning_rates)
    state = learner.snapshot()
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        found |= _named(kind, without(zeros, getattr(state, kind)))
    return found


def run_trace(
    learner: Probe, encoded: Encoded, plan: ShapePlan, batch_size: int, learning_rates: Sequence[float]
) -> Trace:
    """Collect the results of the first steps of a run over ``encoded``, one step per learning rate.

    Each of the learner's processes calls this and builds its own rows. Compared learners need the same plan: dropout
    depends on a sentence's row.

    Returns:
        Arrays named by kind: ``step/0``, …, ``weights/NAME``, ``words`` (logits of every word).
    """
    pad, seed = learner.config.input.pad_token_id, learner.options.optimization.seed
    part = (learner.rank, learner.world_size)
    epochs = (
        training_batches(encoded, plan, batch_size=batch_size, seed=seed, epoch=epoch, pad_token_id=pad, part=part)
        for epoch in count()
    )
    found = _steps(learner, chain.from_iterable(epochs), learning_rates)
    moved = without(shift_invariant(learner.config), learner.weights())
    return {**found, **_named("weights", moved), "words": np.concatenate(predict_words(learner, encoded, pad))}


def compare_traces(a: Trace, b: Trace, bars: Bars) -> Finding:
    """Compare the results of two learners, by kind."""
    zeros = {str(name) for found in (a, b) for name in found.get(_ZEROS, ())}
    groups: dict[str, list[str]] = {}  # arrays to measure together, such as all gradients of a batch
    for key in {**b, **a}:
        if key != _ZEROS:
            groups.setdefault(key.rpartition("/")[0] if "." in key else key, []).append(key)
    errors: dict[str, float] = {}
    for group, keys in groups.items():
        found_a, found_b = ({key: found[key] for key in keys if key in found} for found in (a, b))
        here = {key for key in keys if key.startswith("gradients/") and key.split("/", 2)[-1] in zeros}
        errors[group] = worst(gradient_errors(found_a, found_b, bars, here))[1]
    where, error = worst(errors)
    return Finding("devices", error, where, bars.devices, errors)


def _steps(learner: Probe, batches: Iterable[Batch], learning_rates: Sequence[float]) -> Trace:
    """Do one step per learning rate; return the losses."""
    losses = {}
    for i, (learning_rate, batch) in enumerate(zip(learning_rates, batches, strict=False)):
        metrics = learner.step(batch, learning_rate)
        losses[f"step/{i}"] = np.asarray(float(metrics.loss_sum) / int(metrics.num_labels))
    return losses


def _named(kind: str, tensors: Trace) -> Trace:
    return {f"{kind}/{name}": value for name, value in tensors.items()}
