"""The rungs of the ladder, the largest errors that are still rounding, and what a rung found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybridner.config.choices import Dtype

RUNGS = ("weights", "activations", "gradients", "dropout", "optimizer", "training", "devices")


@dataclass(frozen=True, slots=True)
class Bars:
    """Largest errors that are still rounding; None where an error is reported only.

    Attributes:
        activations: relative error in norm of what comes out of each part of the model.
        gradients: of the loss, and of each parameter's gradient as :func:`tensor_errors` defines it; dropout on or off.
        zero_gradient: norm of a gradient that is zero in truth, as a share of the global norm.
        optimizer: of each weight and moment after the steps.
        training: of the loss of each of a run's first steps.
        devices: of all that a step gives on several devices beside one.
    """

    activations: float
    gradients: float
    zero_gradient: float
    optimizer: float | None
    training: float | None
    devices: float


BARS: dict[Dtype, Bars] = {
    "float64": Bars(
        activations=1e-12, gradients=1e-11, zero_gradient=1e-12, optimizer=1e-10, training=1e-9, devices=1e-11
    ),
    # AdamW divides by the root of the second moment: the rounding of a small float32 gradient becomes a full move.
    "float32": Bars(
        activations=2e-6, gradients=2e-5, zero_gradient=1e-5, optimizer=None, training=None, devices=1e-5
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rung found.

    Attributes:
        rung: one of :data:`RUNGS`.
        error: the largest error.
        where: the tensor, place or step it is at.
        bar: the largest error allowed; None for a rung that is reported only, 0 for one that compares bits.
        errors: the error of each tensor, place or step, as far as the rung tells them apart.
    """

    rung: str
    error: float
    where: str
    bar: float | None
    errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether the error is within the bar; not-a-number is not."""
        return self.bar is None or self.error <= self.bar
