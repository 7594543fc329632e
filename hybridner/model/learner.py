"""What the training loop asks of a twin, and what a training state is on its way between them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.files.tensors import Weights

ADAM_BETAS = (0.9, 0.999)
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


class Learner(Protocol):
    """A twin in training or in use: parameters, optimizer and compiled steps on its devices.

    Attributes:
        config: the model.
        options: how it is trained.
        device: the device in words.
        spread: how the work is spread over devices and processes, in words.
        row_multiple: batches need a multiple of this many rows.
        rank: number of this process.
        world_size: number of processes.
        num_lanes: number of threads that call :meth:`predict` at once, each for a batch of its own, to keep a CPU's
            cores busy: the parts of one batch's computation wait for each other, two batches do not.
    """

    config: ModelConfig
    options: Options
    device: str
    spread: str
    row_multiple: int
    rank: int
    world_size: int
    num_lanes: int

    @staticmethod
    def join(options: Options) -> int:
        """Join the other processes, if there are any, and return this one's rank."""
        ...

    def __init__(self, config: ModelConfig, options: Options) -> None: ...

    def init(self, weights: Weights) -> None:
        """Start from canonical ``weights`` with an optimizer that has done no step."""
        ...

    def step(self, batch: Batch, learning_rate: float) -> StepMetrics:
        """One AdamW step on a global batch; does not wait for the device."""
        ...

    def predict(self, batch: Batch) -> Any:
        """Logits ``[rows, length, num_labels]`` of :meth:`weights`, on the device; does not wait for it."""
        ...

    def gradients(self, batch: Batch) -> tuple[float, Weights]:
        """The mean loss of a global batch and its gradient, with the dropout of the step that comes next."""
        ...

    def activations(self, batch: Batch) -> dict[str, np.ndarray]:
        """What comes out of each part of the model, ``[rows, length, …]``, in order, without dropout."""
        ...

    def gather(self, logits: Any) -> Float[np.ndarray, "rows length num_labels"]:
        """What :meth:`predict` gave, of all processes, as numpy."""
        ...

    def barrier(self) -> None:
        """Wait for the other processes."""
        ...

    def agree(self, number: int) -> int:
        """The largest ``number`` of any process; all call this at the same time."""
        ...

    def peak_memory(self) -> int | None:
        """Most bytes of the device's memory in use at any time, None where that is not counted."""
        ...

    def weights(self) -> Weights:
        """What the model is judged by, as canonical weights: the average of the parameters, or they themselves."""
        ...

    def snapshot(self) -> TrainingState:
        """The training state under canonical names, as numpy arrays."""
        ...

    def restore(self, state: TrainingState) -> None:
        """Go on from ``state``."""
        ...
