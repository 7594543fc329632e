"""Three protocols that each backend implements, and the training state that they exchange."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import DeviceOptions, Options
from hybridner.files.tensors import Weights

ADAM_BETA1 = 0.9
ADAM_EPS = 1e-8
CLIP_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that a step changes, under canonical names.

    Attributes:
        weights: parameters.
        exp_avg: AdamW's first moment of each parameter.
        exp_avg_sq: AdamW's second moment of each parameter.
        step: optimizer steps done.
        average: exponential moving average of the parameters, if one is kept. After step t it moves by 1 - d of its
            distance to them, where d = min(decay, (1 + t) / (10 + t)), as in TensorFlow's ``ExponentialMovingAverage``:
            so the initial weights, which it begins with, are soon forgotten.
        skipped: steps among them whose update was left out; the optimizer has counted ``step - skipped``.
    """

    weights: Weights
    exp_avg: Weights
    exp_avg_sq: Weights
    step: int
    average: Weights | None = None
    skipped: int = 0


class StepMetrics(Protocol):
    """Sums over a batch, still on the device: float() of one waits for it."""

    loss_sum: Any
    num_labels: Any


class Predictor(Protocol):
    """A model that computes logits on its devices: the weights and nothing else.

    Several threads may call :meth:`predict` and :meth:`gather` at once.

    Attributes:
        config: the model.
        device: the device in words.
        row_multiple: batches need a multiple of this many rows.
        rank: number of this process.
        world_size: number of processes.
        num_lanes: number of threads that should predict at once, each a batch of its own, to keep a CPU's cores busy:
            the parts of one batch's computation wait for each other, two batches do not.
    """

    config: ModelConfig
    device: str
    row_multiple: int
    rank: int
    world_size: int
    num_lanes: int

    def __init__(self, config: ModelConfig, weights: Weights, devices: DeviceOptions) -> None:
        """Copy canonical ``weights``, float32 or float64, to the devices.

        Raises:
            InputError: a device is missing, or cannot compute in the type.
        """
        ...

    def predict(self, batch: Batch) -> Any:
        """Start to compute logits ``[rows, length, num_labels]`` of :meth:`weights`; do not wait for the device."""
        ...

    def gather(self, logits: Any) -> Float[np.ndarray, "rows length num_labels"]:
        """Copy the result of :meth:`predict` from all processes into numpy, float32 or float64."""
        ...

    def weights(self) -> Weights:
        """Copy the canonical weights that :meth:`predict` computes with."""
        ...

    def barrier(self) -> None:
        """Wait for the other processes."""
        ...

    def agree(self, number: int) -> int:
        """Find the largest ``number`` of any process; all call this at the same time."""
        ...


class Learner(Predictor, Protocol):
    """A predictor that trains: parameters, optimizer and perhaps an average of the parameters, which then predicts.

    It has no weights until :meth:`init` or :meth:`restore` is called.

    Attributes:
        options: how it is trained.
        spread: how the work is spread over devices and processes, in words.
    """

    options: Options
    spread: str

    @staticmethod
    def join(options: Options) -> int:
        """Join the other processes, if there are any, and return this one's rank."""
        ...

    def __init__(self, config: ModelConfig, options: Options) -> None: ...

    def init(self, weights: Weights) -> None:
        """Start from canonical ``weights`` with an optimizer that has done no step."""
        ...

    def step(self, batch: Batch, learning_rate: float) -> StepMetrics:
        """Do one AdamW step on a global batch; do not wait for the device."""
        ...

    def snapshot(self) -> TrainingState:
        """Copy the training state under canonical names, as numpy arrays."""
        ...

    def restore(self, state: TrainingState) -> None:
        """Continue from ``state``."""
        ...

    def peak_memory(self) -> int | None:
        """Return the most bytes of the device's memory in use at any time, None where nobody counts them."""
        ...


class Probe(Learner, Protocol):
    """A learner that shows the numbers within a step, for the parity ladder."""

    def gradients(self, batch: Batch) -> tuple[float, Weights]:
        """Compute the mean loss of a global batch and its gradient, with the dropout of the next step."""
        ...

    def activations(self, batch: Batch) -> dict[str, np.ndarray]:
        """Compute the output of each part of the model, ``[rows, length, …]``, in order, without dropout."""
        ...
