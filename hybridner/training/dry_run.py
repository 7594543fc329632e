"""A rehearsal of a run: everything up to training, then some steps of each batch shape, whose results are dropped."""

import time
from pathlib import Path

import numpy as np

from hybridner.batches.batch import Batch, build_batch, epoch_order
from hybridner.batches.encoding import Encoded
from hybridner.batches.packing import Shape, pack
from hybridner.config.options import Options
from hybridner.model.learner import Learner
from hybridner.model.memory import IN_TRAINING, MemoryWatch
from hybridner.model.twins import Backend
from hybridner.model.weights import initial_weights
from hybridner.training.job import TrainingJob
from hybridner.training.train import prepare
from hybridner.training.workload import duration

_TIMED_STEPS = 3


def rehearse(backend: Backend, options: Options, explicit: set[str]) -> None:
    """Print a run's summary, its rate, its duration and its memory; write nothing.

    Raises:
        InputError: an option, the data or the output folder is not usable.
    """
    job = prepare(backend, options, explicit)
    job.learner.init(initial_weights(job.config, options.optimization.seed))
    shapes, pieces = job.work.sampled_shapes()
    compiling = stepping = 0.0
    for shape in sorted({*job.plan.shapes, *shapes}, key=lambda shape: shape.rows * shape.length):
        first, each = _time_steps(job, shape)
        compiling += max(first - each, 0)
        stepping += shapes[shape] * each
        if options.run.verbose:
            job.reporter.line(f"{shape.rows} × {shape.length}: first step {first:.2f} s, then {each:.3f} s a step")
    rate = pieces / stepping
    seconds = compiling + job.work.seconds_left(job.work.total_steps, rate)
    compiled = f", of which {duration(compiling)} to compile" if compiling >= 1 else ""
    rows = [("time", f"about {duration(seconds)}, scoring included{compiled}"), ("memory", _memory(job.learner))]
    if options.run.verbose:
        flops = job.work.flops / job.work.pieces * rate / 1e9
        rows.insert(0, ("rate", f"{rate:,.0f} pieces/s, {flops:,.0f} GFLOP/s"))
    job.reporter.rows(rows)
    job.reporter.line("dry run: nothing was written")


def _time_steps(job: TrainingJob, shape: Shape) -> tuple[float, float]:
    """Measure the seconds of the first step on a batch of ``shape``, and of each later one."""
    batch = _filled(job.encoded["train"], shape, job.config.input.pad_token_id)
    times = [time.perf_counter()]
    with MemoryWatch(IN_TRAINING) as memory:
        memory.note(shape)
        for count in (1, _TIMED_STEPS):
            for _ in range(count):
                metrics = job.learner.step(batch, job.options.optimization.learning_rate)
            float(metrics.loss_sum)  # wait for the device
            times.append(time.perf_counter())
    return times[1] - times[0], (times[2] - times[1]) / _TIMED_STEPS


def _filled(encoded: Encoded, shape: Shape, pad_token_id: int) -> Batch:
    """Build a batch of ``shape`` that is as full of real sentences as possible."""
    order, area = epoch_order(len(encoded), 0, 0), shape.rows * shape.length
    order = order[encoded.lengths[order] <= shape.length]
    order = np.resize(order, max(len(order), area))  # repeats a small corpus
    count = int(np.searchsorted(np.cumsum(encoded.lengths[order]), area, side="right"))
    while (packing := pack(encoded.lengths[order[:count]], shape.length)).num_rows > shape.rows:
        count -= 1
    return build_batch(encoded, order[:count], shape, packing, pad_token_id)


def _memory(learner: Learner) -> str:
    peak = learner.peak_memory()
    parts = [] if peak is None else [f"at most {peak / 2**30:.2f} GiB on a device"]
    if Path("/proc/self/status").exists():
        import resource

        parts.append(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB on the host")
    return ", ".join(parts) or "not known"
