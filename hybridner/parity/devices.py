"""The check of devices: a learner's results on one device, on several, or in several processes."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from hybridner.batches.batch import Batch, training_batches
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import ShapePlan
from hybridner.model.learner import Probe
from hybridner.model.parts import shift_invariant
from hybridner.parity.bars import Bars, Finding
from hybridner.parity.errors import tensor_errors, worst
from hybridner.parity.ladder import gradient_errors, relative_loss, without
from hybridner.tagging.inference import predict_words

Trace = dict[str, np.ndarray]


def trace(learner: Probe, batches: Sequence[Batch], learning_rates: Sequence[float]) -> Trace:
    """Collect all results of a learner as arrays for ``np.savez``, which carries them between processes.

    Args:
        learner: a learner with weights; each of its processes calls this.
        batches: with rows in a multiple of the learner's ``row_multiple``.
        learning_rates: one per step; the steps follow the logits, losses and gradients of all batches.

    Returns:
        Arrays named by kind: ``logits/0``, ``loss/0``, ``gradients/0/NAME``, ``step/0``, ``weights/NAME``, …
    """
    zeros = shift_invariant(learner.config)
    found: Trace = {"zero gradients": np.array(sorted(zeros))}
    for i, batch in enumerate(batches):
        loss, gradients = learner.gradients(batch)
        found[f"loss/{i}"] = np.asarray(loss)
        found[f"logits/{i}"] = learner.gather(learner.predict(batch))[batch.attention_mask != 0]
        found |= {f"gradients/{i}/{name}": value for name, value in gradients.items()}
    for i, learning_rate in enumerate(learning_rates):
        metrics = learner.step(batches[i % len(batches)], learning_rate)
        found[f"step/{i}"] = np.asarray(float(metrics.loss_sum) / int(metrics.num_labels))
    state = learner.snapshot()
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        found |= {f"{kind}/{name}": value for name, value in without(zeros, getattr(state, kind)).items()}
    return found


def run_trace(
    learner: Probe, encoded: Encoded, plan: ShapePlan, batch_size: int, learning_rates: Sequence[float]
) -> Trace:
    """Collect the results of the first steps of a run over ``encoded``; each process builds its own rows.

    Args:
        learner: a learner with weights; each of its processes calls this.
        encoded: a split.
        plan: shapes of the batches. Compared learners need the same plan: dropout depends on a sentence's row.
        batch_size: sentences per batch.
        learning_rates: one per step.

    Returns:
        Arrays named by kind: ``step/0``, …, ``weights/NAME``, ``words`` (logits of every word).
    """
    part, pad = (learner.rank, learner.world_size), learner.config.input.pad_token_id
    epochs = (
        training_batches(
            encoded,
            plan,
            batch_size=batch_size,
            seed=learner.options.optimization.seed,
            epoch=epoch,
            pad_token_id=pad,
            part=part,
        )
        for epoch in itertools.count()
    )
    found: Trace = {}
    batches = itertools.chain.from_iterable(epochs)
    for i, (batch, learning_rate) in enumerate(zip(batches, learning_rates, strict=False)):
        metrics = learner.step(batch, learning_rate)
        found[f"step/{i}"] = np.asarray(float(metrics.loss_sum) / int(metrics.num_labels))
    moved = without(shift_invariant(learner.config), learner.weights())
    found |= {f"weights/{name}": value for name, value in moved.items()}
    return {**found, "words": np.concatenate(predict_words(learner, encoded, pad))}


def compare_traces(a: Trace, b: Trace, bars: Bars) -> Finding:
    """Compare the results of two learners, by kind."""
    errors: dict[str, float] = {}
    zeros = {str(name) for trace in (a, b) for name in trace.get("zero gradients", ())}
    groups_a, groups_b = _groups(a), _groups(b)
    for group in dict.fromkeys([*groups_b, *groups_a]):
        found_a, found_b = groups_a.get(group, {}), groups_b.get(group, {})
        kind = group.split("/")[0]
        if kind in ("loss", "step") and found_a and found_b:
            errors[group] = relative_loss(*(float(found[group]) for found in (found_a, found_b)))
        elif kind == "gradients":
            here = {key for key in found_a if key.split("/", 2)[-1] in zeros}
            errors[group] = worst(gradient_errors(found_a, found_b, bars, here))[1]
        else:
            errors[group] = worst(tensor_errors(found_a, found_b))[1] if found_a and found_b else math.inf
    where, error = worst(errors)
    return Finding("devices", error, where, bars.devices, errors)


def _groups(found: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Group the arrays to measure together, such as all gradients of a batch."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for key, value in found.items():
        if key == "zero gradients":
            continue
        group = key.rpartition("/")[0] if "." in key else key
        groups.setdefault(group, {})[key] = value
    return groups
