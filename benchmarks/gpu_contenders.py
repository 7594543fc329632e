"""The contenders of ``benchmarks.on_gpu``; as a program, it measures one of them.

Its one argument is a :class:`Job` as JSON; the last line of its standard output is the result as JSON.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal
from unittest import mock

from benchmarks.floor import flops_per_piece
from benchmarks.matmul_rate import measure_matmul
from hybridner.batches.batch import Batch, training_batches
from hybridner.batches.encoding import Encoded, encode
from hybridner.batches.packing import ShapePlan
from hybridner.config.choices import Device, Dtype, PresetName
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.config.presets import make_options
from hybridner.corpora.read import read_corpus
from hybridner.errors import InputError
from hybridner.model.learner import Learner
from hybridner.model.twins import Backend, learner_class
from hybridner.model.weights import initial_weights
from hybridner.text.tokenizer import load_tokenizer

UNROLLS = (1, 2, 4, 8)
CONTENDERS = (
    "loop",
    "torch",
    "torch-cudnn",
    "torch-cudnn-packed",
    "flax",
    *(f"flax-unroll-{number}" for number in UNROLLS),
    "flax-cudnn",
)
_LEARNING_RATE = 3e-4
_WARM_UP_STEPS = 5

Loss = Callable[[], float]  # the mean loss; waits for the device
Prepared = Any


@dataclass(frozen=True)
class Job:
    """A process' job; ``contender`` may also be "matmul-torch" or "matmul-flax"."""

    contender: str
    data: str
    tokenizer: str
    preset: PresetName
    device: Device
    dtype: Dtype
    batch_size: int
    rounds: int
    steps: int


@dataclass(frozen=True)
class Contender:
    """One way to train.

    Attributes:
        step: one step on a batch that ``prepare`` returned.
        prepare: the host's work on a batch before its step; not measured.
        peak_memory: peak bytes of the device's memory, None where the framework does not count them.
        device: the device in words.
        note: further remarks, after the last step.
    """

    step: Callable[[Prepared], Loss]
    prepare: Callable[[Batch], Prepared]
    peak_memory: Callable[[], int | None]
    device: str
    note: Callable[[], str] = lambda: ""


def framework(contender: str) -> Backend:
    """Return the framework that a contender computes with."""
    return "flax" if "flax" in contender else "torch"


def measure(job: Job) -> dict[str, Any]:
    """Warm a contender up for every shape, and measure its real pieces per second in rounds."""
    corpus = read_corpus(job.data)
    tokenizer = load_tokenizer(job.tokenizer)
    options = make_options(
        job.preset, data=job.data, device=job.device, dtype=job.dtype, batch_size=job.batch_size, parallel="jit"
    )
    config = options.model.config(tokenizer.model_input(options.model.max_length), len(corpus.labels))
    encoded = encode(corpus.splits["train"], tokenizer, corpus.labels, config.input.max_length)
    if len(encoded) < job.batch_size:
        raise InputError(f"{job.data}: {len(encoded)} sentences to train on are fewer than a batch of {job.batch_size}")
    plan = ShapePlan(encoded.lengths, job.batch_size)
    with patched(job.contender, job.batch_size):
        contender = make_contender(job.contender, config, options, encoded)
        return {
            "flops_per_piece": flops_per_piece(config),
            **run_rounds(job, contender, encoded, plan, options.optimization.seed),
        }


def run_rounds(job: Job, contender: Contender, encoded: Encoded, plan: ShapePlan, seed: int) -> dict[str, Any]:
    """Warm up, then measure; the batches and their sentences are the same for every contender."""
    begun = time.perf_counter()
    batches = full_batches(encoded, plan, seed, job.batch_size)
    losses = [contender.step(contender.prepare(batch))() for batch in one_of_each_shape(batches, plan)]
    for _ in range(min(_WARM_UP_STEPS, job.steps)):
        contender.step(contender.prepare(next(batches)))()
    warm_up_seconds = time.perf_counter() - begun

    rates, host_seconds = [], 0.0
    for _ in range(job.rounds):
        begun = time.perf_counter()
        chosen = list(itertools.islice(batches, job.steps))
        host_seconds += time.perf_counter() - begun
        prepared = [contender.prepare(batch) for batch in chosen]
        begun = time.perf_counter()
        for one in prepared:
            loss = contender.step(one)
        loss()
        rates.append(sum(batch.num_pieces for batch in chosen) / (time.perf_counter() - begun))
    return {
        "rates": rates,
        "shapes": [list(shape) for shape in plan.shapes],
        "first_loss": losses[0],
        "warm_up_seconds": warm_up_seconds,
        "packing_seconds_a_batch": host_seconds / (job.rounds * job.steps),
        "peak_memory": contender.peak_memory(),
        "device": contender.device,
        "note": contender.note(),
    }


def full_batches(encoded: Encoded, plan: ShapePlan, seed: int, batch_size: int) -> Iterator[Batch]:
    """Yield the batches of endless epochs, without the smaller last batch of each."""
    for epoch in itertools.count():
        for batch in training_batches(encoded, plan, batch_size=batch_size, seed=seed, epoch=epoch, pad_token_id=0):
            if len(batch.examples) == batch_size:
                yield batch


def one_of_each_shape(batches: Iterator[Batch], plan: ShapePlan) -> Iterator[Batch]:
    """Return the first batch of each shape among the next hundreds of batches, the very first one first."""
    seen = set()
    for batch in itertools.islice(batches, 300):
        if batch.shape not in seen:
            seen.add(batch.shape)
            yield batch
        if len(seen) >= len(plan.shapes):
            return


def make_contender(name: str, config: ModelConfig, options: Options, encoded: Encoded) -> Contender:
    """Make a contender by name, with the initial weights of the options' seed.

    Raises:
        InputError: none has this name, or it cannot compute in the options' type.
    """
    if name == "loop":
        return loop_contender(config, options, encoded)
    if name not in CONTENDERS:
        raise InputError(f"no contender {name!r}; there are {', '.join(CONTENDERS)}")
    if name == "flax-cudnn" and options.devices.dtype != "float32":
        raise InputError(f"JAX's binding of cuDNN's LSTM computes in float32 alone, not in {options.devices.dtype}")
    learner = learner_class(framework(name))(config, options)
    learner.init(initial_weights(config, options.optimization.seed))
    if name.startswith("torch-cudnn"):
        return torch_cudnn_contender(learner, "packed" if name.endswith("packed") else "rectangle")
    return twin_contender(learner)


def twin_contender(learner: Learner) -> Contender:
    """Make a contender that trains as the backend's command does."""
    return Contender(lambda batch: _loss_of(learner, batch), lambda batch: batch, learner.peak_memory, learner.device)


def _loss_of(learner: Learner, batch: Batch) -> Loss:
    metrics = learner.step(batch, _LEARNING_RATE)
    return lambda: float(metrics.loss_sum) / int(metrics.num_labels)


def torch_cudnn_contender(learner: Any, kind: Literal["rectangle", "packed"]) -> Contender:
    """Make a PyTorch contender with cuDNN's LSTM."""
    from benchmarks.cudnn_lstm import CudnnLSTM, Layout, layout_of

    lstm = learner.model.lstm = CudnnLSTM(learner.model.lstm, kind)
    device = lstm.linear_ih.weight.device

    def step(prepared: tuple[Batch, Layout]) -> Loss:
        batch, layout = prepared
        lstm.layout = layout.to(device)
        return _loss_of(learner, batch)

    return Contender(
        step, lambda batch: (batch, layout_of(batch)), learner.peak_memory, learner.device, lambda: lstm.computed_by
    )


def loop_contender(config: ModelConfig, options: Options, encoded: Encoded) -> Contender:
    """Make the original's contender: padded sentences, a Python loop over the steps; autocast for bfloat16."""
    import torch

    from benchmarks.loop import LoopTagger, padded, train_step
    from hybridner_torch.parallel import find_device

    device = find_device(options.devices.device)
    model = LoopTagger(config).train()
    weights = initial_weights(config, options.optimization.seed)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    model.to(device)
    torch.manual_seed(options.optimization.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=options.optimization.weight_decay)

    def step(prepared: Any) -> Loss:
        with torch.autocast(device.type, torch.bfloat16, enabled=options.devices.dtype == "bfloat16"):
            loss = train_step(model, optimizer, *(tensor.to(device) for tensor in prepared))
        return lambda: loss

    on_gpu = device.type == "cuda"
    return Contender(
        step,
        lambda batch: padded(encoded, batch.examples, config.input.pad_token_id),
        lambda: torch.cuda.max_memory_allocated() if on_gpu else None,
        torch.cuda.get_device_name() if on_gpu else device.type,
    )


def patched(name: str, num_sentences: int) -> AbstractContextManager[Any]:
    """Apply a contender's changes to the Flax version while the block runs."""
    if name.startswith("flax-unroll-"):
        return scan_unrolled(int(name.rpartition("-")[2]))
    return flax_cudnn(num_sentences) if name == "flax-cudnn" else nullcontext()


def scan_unrolled(number: int) -> AbstractContextManager[Any]:
    """Let every ``jax.lax.scan`` compute so many steps per iteration while the block runs."""
    import jax

    scan = jax.lax.scan

    @wraps(scan)
    def unrolled(*args: Any, **options: Any) -> Any:
        return scan(*args, **{**options, "unroll": number})

    return mock.patch.object(jax.lax, "scan", unrolled)


def flax_cudnn(num_sentences: int) -> AbstractContextManager[Any]:
    """Replace Flax's LSTM by cuDNN's, for batches of at most ``num_sentences``, while the block runs."""
    from benchmarks.cudnn_lstm_flax import call_by_cudnn
    from hybridner_flax.lstm import LSTM

    return mock.patch.object(LSTM, "__call__", call_by_cudnn(num_sentences))


def main(job: Job) -> None:
    """Measure and print the result; print an error as ``failed``."""
    try:
        if job.contender.startswith("matmul-"):
            found = measure_matmul(framework(job.contender), job.device, job.dtype, job.rounds, job.steps)
        else:
            found = measure(job)
    except Exception as error:
        lines = str(error).splitlines() or [""]
        found = {"failed": f"{type(error).__name__}: {lines[0]}"[:300]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Job(**json.loads(sys.argv[1])))
