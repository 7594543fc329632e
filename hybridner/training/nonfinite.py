"""What is infinite or not a number: whether it is in a model's weights, and where in a run it began.

A loss says so late: the step before may have left a weight that only some sentence of the next batch touches. Since a
run repeats bit for bit, its steps are taken again from the last state that was whole, one at a time, until the first
that goes wrong; the gradients of that step say where.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hybridner.batches.batch import Batch
from hybridner.files.tensors import Weights
from hybridner.model.finite import first_nonfinite, is_finite, nonfinite_in
from hybridner.model.learner import Probe, TrainingState
from hybridner.model.weights import weight_shapes

MOST_SKIPPED_IN_ROW = 10
"""Steps one after the other that may be skipped; with more, it is not the batch that is at fault."""


class Trouble(NamedTuple):
    """What a run must stop for.

    Attributes:
        step: at which it was noticed.
        what: in words.
        since: the first step at which it may have begun; those before it that were not finite were skipped.
    """

    step: int
    what: str
    since: int = 0


class Step(NamedTuple):
    """A step of a run, to be taken again.

    Attributes:
        number: of the step, from 1.
        epoch: from 1.
        batch_number: of its batch in the epoch, from 1.
        batch: what it is computed on.
        learning_rate: of the step.
    """

    number: int
    epoch: int
    batch_number: int
    batch: Batch
    learning_rate: float


def steps_from(
    batches: Callable[[int, int], Iterable[Batch]],
    learning_rate_at: Callable[[int], float],
    batches_per_epoch: int,
    step: int,
    until: int,
) -> Iterator[Step]:
    """The steps of a run after ``step`` of them, to step ``until``.

    Args:
        batches: of an epoch, from 0, beginning with a batch, from 0.
        learning_rate_at: of a step, from 0.
        batches_per_epoch: their number.
        step: steps done.
        until: the last step.
    """
    while step < until:
        epoch, batch = divmod(step, batches_per_epoch)
        for here in batches(epoch, batch):
            if step == until:
                return
            step, batch = step + 1, batch + 1
            yield Step(step, epoch + 1, batch, here, learning_rate_at(step - 1))


def before_skipping(state: TrainingState, first: int) -> TrainingState:
    """The state before step ``first``, if all steps since then were skipped: nothing else has changed."""
    back = max(0, state.step - (first - 1))
    return dataclasses.replace(state, step=state.step - back, skipped=state.skipped - back)


@dataclass(frozen=True, slots=True)
class Origin:
    """The first step of a run that went wrong, and what is wrong in it.

    Attributes:
        step: that step.
        loss: its mean loss.
        examples: the examples of its batch whose logits are not finite; all of them if none is.
        activation: the first part of the model that gives what is not finite, or None.
        gradient: the first parameter, in the order of the forward pass, with a gradient that is not finite, or None.
        count: how many numbers of that gradient are not.
        size: out of how many.
        squares_overflow: whether the sum of the squares of all gradients is too large for their type.
        left: what the step left that is not finite, in words, or None.
    """

    step: Step
    loss: float
    examples: tuple[int, ...]
    activation: str | None
    gradient: str | None
    count: int
    size: int
    squares_overflow: bool
    left: str | None

    @property
    def can_be_skipped(self) -> bool:
        """Whether ``--on-nonfinite skip`` leaves it out: it is not only that the update was too large."""
        return self.squares_overflow or not math.isfinite(self.loss)

    @property
    def is_of_a_few(self) -> bool:
        """Whether other examples of its batch are finite."""
        return len(self.examples) < len(self.step.batch.examples)

    def cause(self) -> str:
        """What went wrong, in words."""
        if self.gradient is not None:
            forward = (
                f" (in the forward pass it shows first in what {self.activation} gives)" if self.activation else ""
            )
            numbers = f"{self.count:,} of the {self.size:,} numbers"
            return f"{numbers} of the gradient of {self.gradient!r} are not finite{forward}"
        if not math.isfinite(self.loss):
            return f"the loss is {self.loss}, and all gradients are finite"
        if self.squares_overflow:
            return "the gradients are finite, but not their squares, which AdamW keeps"
        return f"loss and gradients are finite, and its update is too large for {self.left}"


def find_origin(learner: Probe, start: TrainingState, steps: Iterable[Step], since: int = 0) -> Origin | None:
    """Take ``steps`` again from ``start`` until one goes wrong, and see what is wrong in it.

    Every process of the learner calls this; afterwards the learner stands somewhere on the way.

    Args:
        learner: the run's.
        start: a state that is finite.
        steps: those after it.
        since: the first step that may be meant; one before it that went wrong was skipped.

    Returns:
        What was found; None if nothing goes wrong this time.
    """
    learner.restore(start)
    before = start
    for step in steps:
        metrics = learner.step(step.batch, step.learning_rate)
        after = learner.snapshot()
        left = nonfinite_in(after)
        if step.number >= since and (left is not None or not math.isfinite(float(metrics.loss_sum))):
            return _look_into(learner, before, step, left)
        before = after
    return None


def _look_into(learner: Probe, before: TrainingState, step: Step, left: str | None) -> Origin:
    # Activations are those of the average, if one is kept, and the step was taken with the parameters.
    learner.restore(dataclasses.replace(before, average=None if before.average is None else before.weights))
    loss, gradients = learner.gradients(step.batch)
    gradient = first_nonfinite({name: gradients[name] for name in weight_shapes(learner.config)})
    numbers = np.zeros(0) if gradient is None else gradients[gradient]
    batch = step.batch
    activations = learner.activations(batch)
    spans = [
        (int(row), slice(int(start), int(start + length)))
        for row, start, length in zip(batch.rows, batch.starts, batch.lengths, strict=True)
    ]
    logits = activations["classifier"]
    wrong = [i for i, span in zip(batch.examples.tolist(), spans, strict=True) if not is_finite(logits[span])]
    real = {name: np.concatenate([value[span] for span in spans]) for name, value in activations.items()}
    return Origin(
        step=step,
        loss=loss,
        examples=tuple(wrong or batch.examples.tolist()),
        activation=first_nonfinite(real),
        gradient=gradient,
        count=int(np.count_nonzero(~np.isfinite(numbers))),
        size=numbers.size,
        squares_overflow=_squares_overflow(gradients),
        left=left,
    )


def _squares_overflow(gradients: Weights) -> bool:
    """Whether a learner that skips would skip: the squared norm is infinite or not a number in the gradients' type."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = sum(float(np.square(value, dtype=np.float64).sum()) for value in gradients.values())
    return not squares <= max(float(np.finfo(value.dtype).max) for value in gradients.values())


def explain(
    learner: Probe,
    start: TrainingState,
    steps: Iterable[Step],
    *,
    since: int = 0,
    saved: int,
    place_of: Callable[[int], str],
    resume: str,
) -> str:
    """Find out where it began, and say that and what to do, as the rest of a sentence about what is not finite.

    Every process of the learner calls this; afterwards the learner stands somewhere on the way.

    Args:
        learner: the run's.
        start: the last state that was saved, or that of the run's beginning.
        steps: those after it, to the one at which it was noticed.
        since: the first step that may be meant.
        saved: step of the last state that was saved, or 0.
        place_of: where an example of the train split stands.
        resume: the command that goes on with the run.
    """
    from_where = f"the checkpoint of step {saved:,}" if saved else "the run's beginning"
    already = nonfinite_in(start)
    if already is not None:
        return f"{from_where} already holds what is not finite, in {already}; start a new run"
    origin = find_origin(learner, start, steps, since)
    if origin is None:
        return (
            f"all is finite when the steps since {from_where} are taken again, so this machine does not give the same "
            f"numbers twice (on a GPU, --deterministic does); go on with: {resume}"
        )
    step = origin.step
    which = "sentence" if origin.is_of_a_few else "first sentence"
    intact = f"{from_where} is whole" if saved else "no checkpoint is there yet"
    text = (
        f"it began in step {step.number:,} (epoch {step.epoch}, batch {step.batch_number}, {which} "
        f"{place_of(origin.examples[0])}): {origin.cause()}; {intact}, but --resume alone meets the same step again: "
        "lower --learning-rate, warm up (--warmup-steps) or clip (--clip-norm 1) in a new run"
    )
    if origin.can_be_skipped and learner.options.run.on_nonfinite == "stop":
        text += f", or leave such steps out: {resume} --on-nonfinite skip"
    return text
