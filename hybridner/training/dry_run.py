"""A rehearsal of a run: all up to training, then some steps of each shape on a state that is thrown away."""

import time
from pathlib import Path

import numpy as np

from hybridner.batches.batch import Batch, build_batch, epoch_order
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import Shape, pack
from hybridner.config.options import Options
from hybridner.model.learner import Learner
from hybridner.model.twins import Backend
from hybridner.model.weights import initial_weights
from hybridner.training.loop import TrainingLoop
from hybridner.training.pace import duration
from hybridner.training.train import prepare

_TIMED_STEPS = 3


def rehearse(backend: Backend, options: Options, explicit: set[str]) -> None:
    """Say what training with ``options`` would do, how fast and for how long; nothing is written.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    loop = prepare(backend, options, explicit)
    loop.learner.init(initial_weights(loop.config, options.optimization.seed))
    shapes, pieces = loop.work.sampled_shapes()
    compiling = stepping = 0.0
    for shape in sorted({*loop.plan.shapes, *shapes}, key=lambda shape: shape.rows * shape.length):
        first, each = _time_steps(loop, shape)
        compiling += max(first - each, 0)
        stepping += shapes[shape] * each
        loop.reporter.line(f"{shape.rows} × {shape.length}: first step {first:.2f} s, then {each:.3f} s a step")
    rate = pieces / stepping
    seconds = compiling + loop.work.seconds_left(0, rate)
    compiled = f", of which {duration(compiling)} to compile" if compiling >= 1 else ""
    loop.reporter.rows(
        [
            ("rate", f"{rate:,.0f} pieces/s, {loop.work.flops / loop.work.pieces * rate / 1e9:,.0f} GFLOP/s"),
            ("time", f"about {duration(seconds)}, scoring included{compiled}"),
            ("memory", _memory(loop.learner)),
        ]
    )
    loop.reporter.line("dry run: nothing was written")


def _time_steps(loop: TrainingLoop, shape: Shape) -> tuple[float, float]:
    """Seconds of the first step on a batch of ``shape``, and of each after it."""
    batch = _filled(loop.encoded["train"], shape, loop.config.input.pad_token_id)
    times = [time.perf_counter()]
    with loop.memory:
        loop.memory.note(shape)
        for count in (1, _TIMED_STEPS):
            for _ in range(count):
                metrics = loop.learner.step(batch, loop.options.optimization.learning_rate)
            float(metrics.loss_sum)  # waits for the device
            times.append(time.perf_counter())
    return times[1] - times[0], (times[2] - times[1]) / _TIMED_STEPS


def _filled(encoded: Encoded, shape: Shape, pad_token_id: int) -> Batch:
    """A batch of ``shape`` that is as full of real sentences as they come."""
    order = epoch_order(len(encoded), 0, 0)
    order = order[encoded.lengths[order] <= shape.length]
    order = np.resize(order, max(len(order), shape.rows * shape.length))  # a small corpus comes round again
    count = int(np.searchsorted(np.cumsum(encoded.lengths[order]), shape.rows * shape.length, side="right"))
    while (packing := pack(encoded.lengths[order[:count]], shape.length)).num_rows > shape.rows:
        count -= 1
    return build_batch(encoded, order[:count], shape, packing, pad_token_id)


def _memory(learner: Learner) -> str:
    peak = learner.peak_memory()
    parts = [] if peak is None else [f"{peak / 2**30:.2f} GiB of a device's memory at most"]
    if Path("/proc/self/status").exists():
        import resource

        parts.append(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB of the host's at most")
    return ", ".join(parts) or "not known"
