"""The checks, their bars (the largest errors that rounding explains), and their findings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybridner.config.choices import Dtype

CHECKS = ("weights", "activations", "gradients", "dropout", "optimizer", "training", "devices")


@dataclass(frozen=True, slots=True)
class Bars:
    """The largest errors that rounding explains; None if a check only reports its error.

    Attributes:
        activations: relative error in norm of the output of each part of the model.
        gradients: of the loss, and :func:`tensor_errors` of the parameters' gradients, with dropout on or off.
        zero_gradient: norm of a gradient whose true value is zero, as a share of the global norm.
        optimizer: of each weight and moment after the steps.
        training: of the losses of a run's first steps.
        devices: of all results of a step, on several devices compared with one.
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
    # AdamW divides by the root of the second moment: rounding of a small float32 gradient becomes a full-size update.
    "float32": Bars(
        activations=2e-6, gradients=2e-5, zero_gradient=1e-5, optimizer=None, training=None, devices=1e-5
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        check: one of :data:`CHECKS`, or "model".
        error: the largest error.
        where: its tensor, part of the model or step.
        bar: the largest error allowed; None for a check that only reports, 0 for one that compares bits.
        errors: the error of each tensor, part or step, if the check has several.
    """

    check: str
    error: float
    where: str
    bar: float | None
    errors: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Compare the error with the bar; NaN fails."""
        return self.bar is None or self.error <= self.bar
