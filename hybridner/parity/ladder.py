"""The ladder: what two learners must agree on for their models to be the same, rung by rung.

A rung that holds in float64 at these bars leaves no room for a difference of meaning: a wrong epsilon, a swapped gate
or a mean over padding is many orders of magnitude larger than the rounding of either framework.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybridner.config import Dtype, ModelConfig, TrainingConfig
from hybridner.data.batches import Batch
from hybridner.learner import Learner
from hybridner.parity.errors import bitwise_difference, global_norm, relative_error, tensor_errors, worst
from hybridner.parity.samples import random_batch
from hybridner.weights import Weights

SHIFT_INVARIANT = "k_proj.bias"
_FIRST_ERROR = 1e-300


@dataclass(frozen=True, slots=True)
class Bars:
    """Largest errors that are still rounding; None where an error is reported only.

    Attributes:
        activations: relative error in norm of what comes out of each part of the model.
        gradients: of the loss, and of each parameter's gradient as :func:`tensor_errors` defines it.
        zero_gradient: norm of a gradient that is zero in truth, as a share of the global norm.
        optimizer: of each weight and moment after the steps.
    """

    activations: float
    gradients: float
    zero_gradient: float
    optimizer: float | None


BARS: dict[str, Bars] = {
    "float64": Bars(activations=1e-12, gradients=1e-11, zero_gradient=1e-12, optimizer=1e-10),
    "float32": Bars(activations=2e-6, gradients=2e-5, zero_gradient=1e-5, optimizer=None),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rung found.

    Attributes:
        rung: its name.
        error: the largest error.
        where: the tensor or place it is at.
        bar: the largest error allowed; None for a rung that is reported only, 0 for one that compares bits.
    """

    rung: str
    error: float
    where: str
    bar: float | None

    @property
    def held(self) -> bool:
        """Whether the error is within the bar; not-a-number is not."""
        return self.bar is None or self.error <= self.bar


def compare_weights(a: Learner, b: Learner) -> Finding:
    """Every tensor under the same name, bit for bit."""
    name = bitwise_difference(a.weights(), b.weights())
    return Finding("weights", 0.0 if name is None else float("inf"), name or "all tensors, bit for bit", 0.0)


def compare_activations(a: Learner, b: Learner, batches: Sequence[Batch], bars: Bars) -> Finding:
    """What comes out of each part, padding left out; names the first part that diverges."""
    errors: dict[str, float] = {}
    for batch in batches:
        here = batch.attention_mask != 0
        found_a, found_b = a.activations(batch), b.activations(batch)
        for place in dict.fromkeys([*found_b, *found_a]):
            both = place in found_a and place in found_b
            error = relative_error(found_a[place][here], found_b[place][here]) if both else float("inf")
            errors[place] = max(errors.get(place, 0.0), error)
    first = next((place for place, error in errors.items() if not error <= bars.activations), None)
    place, error = (first, errors[first]) if first else worst(errors)
    return Finding("activations", error, place, bars.activations)


def compare_gradients(a: Learner, b: Learner, batches: Sequence[Batch], bars: Bars, rung: str = "gradients") -> Finding:
    """The loss and every parameter's gradient, the pad row included."""
    largest = Finding(rung, 0.0, "loss", bars.gradients)
    for batch in batches:
        (loss_a, grads_a), (loss_b, grads_b) = a.gradients(batch), b.gradients(batch)
        errors = {"loss": abs(loss_a - loss_b) / max(abs(loss_b), _FIRST_ERROR)}
        errors |= tensor_errors(grads_a, grads_b)
        for zero in [name for name in errors if name.endswith(SHIFT_INVARIANT)]:
            # Zero in truth, so there is nothing to be relative to: it must be nothing beside the others.
            sizes = [
                global_norm({zero: g[zero]}) / max(global_norm(g), _FIRST_ERROR)
                for g in (grads_a, grads_b)
                if zero in g
            ]
            errors[zero] = max(sizes) / bars.zero_gradient * bars.gradients if len(sizes) == 2 else float("inf")
        where, error = worst(errors)
        if not error <= largest.error:
            largest = Finding(rung, error, where, bars.gradients)
    return largest


def compare_optimizer(
    a: Learner,
    b: Learner,
    batches: Sequence[Batch],
    bars: Bars,
    learning_rates: Sequence[float],
    rung: str = "optimizer",
) -> Finding:
    """Weights and both moments after as many steps as there are ``learning_rates``, batches taken in turn."""
    for step, learning_rate in enumerate(learning_rates):
        for learner in (a, b):
            learner.step(batches[step % len(batches)], learning_rate)
    state_a, state_b = a.snapshot(), b.snapshot()
    errors = {"step": float(state_a.step != state_b.step)}
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        tensors_a, tensors_b = _without_zeros(getattr(state_a, kind)), _without_zeros(getattr(state_b, kind))
        errors |= {f"{kind}: {name}": error for name, error in tensor_errors(tensors_a, tensors_b).items()}
    where, error = worst(errors)
    return Finding(f"{rung}, {len(learning_rates)} step{'s' * (len(learning_rates) > 1)}", error, where, bars.optimizer)


def _without_zeros(tensors: Weights) -> Weights:
    """AdamW turns the noise in a gradient that is zero in truth into moves, so it is left out of comparison."""
    return {name: value for name, value in tensors.items() if not name.endswith(SHIFT_INVARIANT)}


def standard_batches(config: ModelConfig, seed: int = 0, row_multiple: int = 1) -> list[Batch]:
    """Random batches padded, ragged (one piece beside many) and packed."""
    longest = min(config.max_length, 24)
    padded = [max(1, longest - 3 * i) for i in range(6)]
    packed = [min(longest, n) for n in (9, 4, 13, 2, 20, 7, 11, 3, 16, 5)]
    return [
        random_batch(config, padded, seed, row_multiple=row_multiple),
        random_batch(config, [longest, 1, 1, 2], seed + 1, row_multiple=row_multiple),
        random_batch(config, packed, seed + 2, row_length=min(config.max_length, 32), row_multiple=row_multiple),
    ]


def climb(
    make: Callable[[TrainingConfig], tuple[Learner, Learner]],
    config: ModelConfig,
    dtype: Dtype,
    batches: Sequence[Batch],
    steps: int = 1,
) -> list[Finding]:
    """All rungs that need no training run.

    Args:
        make: two learners that hold the weights to compare, made for the given options.
        config: their model.
        dtype: "float64" or "float32"; the bars depend on it.
        batches: what to compare on.
        steps: AdamW steps of the optimizer rung.
    """
    bars = BARS[dtype]
    options = TrainingConfig(dtype=dtype, parallel="jit", clip_norm=1.0)
    a, b = make(options)
    return [
        compare_weights(a, b),
        compare_activations(a, b, batches, bars),
        compare_gradients(a, b, batches, bars, "gradients, dropout on" if config.dropout else "gradients"),
        compare_optimizer(a, b, batches, bars, [1e-3] * steps),
    ]
