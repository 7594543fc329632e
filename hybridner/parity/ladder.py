"""The checks that two learners must pass, in order, for their models to be the same.

A wrong epsilon, a swapped gate or a mean over padding is many orders of magnitude larger than the float64 bars.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hybridner.batches.batch import Batch
from hybridner.config.choices import Dtype
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.config.presets import make_options
from hybridner.files.tensors import Weights
from hybridner.model.learner import Probe
from hybridner.model.parts import shift_invariant
from hybridner.parity.bars import BARS, Bars, Finding
from hybridner.parity.errors import bitwise_differences, global_norm, not_finite, relative_error, tensor_errors, worst
from hybridner.parity.samples import standard_batches

_DROPOUT_STEPS = (0, 7)
_TINY = 1e-300

MakeLearners = Callable[[ModelConfig, Options], tuple[Probe, Probe]]


def compare_weights(a: Probe, b: Probe) -> Finding:
    """Compare the weights bit for bit; NaN never equals NaN."""
    weights_a, weights_b = a.weights(), b.weights()
    if differing := list(bitwise_differences(weights_a, weights_b)):
        errors = tensor_errors(weights_a, weights_b)
        errors |= {name: errors[name] or math.inf for name in differing}  # 0: other bits of one value, -0
        where, error = worst({name: errors[name] for name in differing})
        count = f"{len(differing)} of {len(errors)} tensors differ{'s' * (len(differing) == 1)}"
        return Finding("weights", error, f"{where}; {count}", 0.0, errors)
    if (strange := not_finite(weights_a)) is not None:
        return Finding("weights", math.inf, f"{strange} contains values that are not finite", 0.0)
    return Finding("weights", 0.0, f"{len(weights_a)} tensors, bit for bit", 0.0)


def compare_activations(a: Probe, b: Probe, batches: Sequence[Batch], bars: Bars) -> Finding:
    """Compare the output of each part and the predicted logits, without padding; report the first that differs."""
    errors: dict[str, float] = {}
    for batch in batches:
        here = batch.attention_mask != 0
        found_a, found_b = (
            {**learner.activations(batch), "prediction": learner.gather(learner.predict(batch))} for learner in (a, b)
        )
        for place in dict.fromkeys([*found_b, *found_a]):
            both = place in found_a and place in found_b
            error = relative_error(found_a[place][here], found_b[place][here]) if both else math.inf
            errors[place] = max(errors.get(place, 0.0), error)
    where = next((place for place, error in errors.items() if not error <= bars.activations), worst(errors)[0])
    return Finding("activations", errors[where], where, bars.activations, errors)


def compare_gradients(a: Probe, b: Probe, batches: Sequence[Batch], bars: Bars, check: str = "gradients") -> Finding:
    """Compare the loss and every parameter's gradient, the pad row included."""
    largest: dict[str, float] = {}
    zeros = shift_invariant(a.config)
    for batch in batches:
        (loss_a, grads_a), (loss_b, grads_b) = a.gradients(batch), b.gradients(batch)
        errors = {"loss": relative_loss(loss_a, loss_b), **gradient_errors(grads_a, grads_b, bars, zeros)}
        for name, error in errors.items():
            largest[name] = max(error, largest.get(name, 0.0))
    where, error = worst(largest)
    return Finding(check, error, where, bars.gradients, largest)


def compare_dropout(a: Probe, b: Probe, batches: Sequence[Batch], bars: Bars) -> Finding:
    """Compare loss and gradients with dropout on, at two steps: both learners must drop the same elements."""
    starts = [(learner, learner.snapshot()) for learner in (a, b)]
    findings = []
    for step in _DROPOUT_STEPS:
        for learner, start in starts:
            learner.restore(replace(start, step=step))
        findings.append(compare_gradients(a, b, batches, bars, "dropout"))
    for learner, start in starts:
        learner.restore(start)
    return max(findings, key=lambda finding: finding.error)


def compare_optimizer(
    a: Probe, b: Probe, batches: Sequence[Batch], bars: Bars, learning_rates: Sequence[float]
) -> Finding:
    """Compare weights and both moments after one step per learning rate, on the batches in turn."""
    for step, learning_rate in enumerate(learning_rates):
        for learner in (a, b):
            learner.step(batches[step % len(batches)], learning_rate)
    state_a, state_b = a.snapshot(), b.snapshot()
    zeros = shift_invariant(a.config)
    errors = {"number of steps": 0.0 if state_a.step == state_b.step else math.inf}
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        found = tensor_errors(*(without(zeros, getattr(state, kind)) for state in (state_a, state_b)))
        errors |= {f"{kind}: {name}": error for name, error in found.items()}
    where, error = worst(errors)
    steps = f"{len(learning_rates)} step{'s' * (len(learning_rates) > 1)}"
    return Finding("optimizer", error, f"{where}, after {steps}", bars.optimizer, errors)


def climb(
    make: MakeLearners,
    config: ModelConfig,
    dtype: Dtype,
    batches: Sequence[Batch] | None = None,
    *,
    learning_rates: Sequence[float] = (1e-3,),
    **options: object,
) -> Iterator[Finding]:
    """Run the checks that need neither a training run nor several devices, in order.

    Args:
        make: makes two learners, with the weights to compare, for a model and options.
        config: the model; with dropout 0 there is no dropout check.
        dtype: "float64" or "float32"; the bars depend on it.
        batches: batches to compare on; random ones by default.
        learning_rates: one per step of the optimizer check.
        **options: options of the optimizer: ``clip_norm``, ``weight_decay``.
    """
    bars = BARS[dtype]
    batches = standard_batches(config) if batches is None else batches
    training = make_options("original", dtype=dtype, parallel="jit", **options)
    a, b = make(config.without_dropout(), training)
    yield compare_weights(a, b)
    yield compare_activations(a, b, batches, bars)
    yield compare_gradients(a, b, batches, bars)
    if config != config.without_dropout():
        yield compare_dropout(*make(config, training), batches, bars)
    yield compare_optimizer(a, b, batches, bars, learning_rates)


def relative_loss(a: float, b: float) -> float:
    """Compute |a − b| / |b|; infinite if either is not finite."""
    difference = abs(a - b)
    return difference / max(abs(b), _TINY) if math.isfinite(difference) else math.inf


def gradient_errors(a: Weights, b: Weights, bars: Bars, zeros: set[str]) -> dict[str, float]:
    """Compute :func:`tensor_errors` of gradients; those of ``zeros`` must be tiny compared with all together.

    A gradient whose true value is zero consists of rounding. Its error is its share of the global norm, scaled to put
    ``bars.zero_gradient`` at the bar of gradients.
    """
    errors = tensor_errors(a, b)
    for name in a.keys() & b.keys() & zeros:
        shares = [global_norm({name: grads[name]}) / max(global_norm(grads), _TINY) for grads in (a, b)]
        errors[name] = math.inf if math.isnan(sum(shares)) else max(shares) / bars.zero_gradient * bars.gradients
    return errors


def without(zeros: set[str], tensors: Weights) -> Weights:
    """Leave out tensors whose true gradient is zero: AdamW turns the noise in their gradients into updates."""
    return {name: value for name, value in tensors.items() if name not in zeros}
