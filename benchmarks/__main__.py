"""Training speed of both twins beside the baseline ``loop``, in one run: ``python -m benchmarks --data DIR``."""

import dataclasses
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from benchmarks.loop import LoopTagger, padded, train_step
from hybridner.cli.output import write_json
from hybridner.config import ModelConfig, training_config
from hybridner.data.batches import epoch_order, training_batches
from hybridner.data.encoding import Encoded, encode
from hybridner.data.packing import ShapePlan
from hybridner.data.read import read_corpus
from hybridner.data.tokenizer import load_tokenizer, train_tokenizer
from hybridner.learner import Learner
from hybridner.twins import learner_class
from hybridner.weights import initial_weights, num_parameters

FLOPS_PER_WEIGHT = 6  # multiply and add, forward once and backward twice
Steps = Callable[[int], int]


@dataclass(frozen=True)
class Options:
    """Measure real pieces a second of training with the preset ``original``, dropout on."""

    data: str = "sample"
    """A corpus as for training."""
    tokenizer: str = "train"
    """A tokenizer as for training."""
    rounds: int = 5
    """Rounds in which every contender is measured once, one after the other; the median is reported."""
    steps: int = 6
    """Steps of a contender in a round."""
    json: Path | None = None
    """Also write the table to this file."""


def matmul_rate() -> float:
    """Measured fp32 FLOP/s of a matmul of the model's size."""
    a, b = torch.randn(1280, 256), torch.randn(256, 1024)
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(5):
            a @ b
        times.append((time.perf_counter() - begun) / 5)
    return 2 * 1280 * 256 * 1024 / statistics.median(times)


def loop_contender(config: ModelConfig, encoded: Encoded) -> Steps:
    """The original's way: 64 random sentences padded to the longest, a Python loop over the steps."""
    torch.manual_seed(0)
    model = LoopTagger(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01)
    order = np.concatenate([epoch_order(len(encoded), 12, epoch) for epoch in range(20)])
    position = 0

    def run(steps: int) -> int:
        nonlocal position
        pieces = 0
        for _ in range(steps):
            examples = order[position : position + 64]
            position += 64
            train_step(model, optimizer, *padded(encoded, examples, config.pad_token_id))
            pieces += int(encoded.lengths[examples].sum())
        return pieces

    return run


def twin_contender(learner: Learner, encoded: Encoded, plan: ShapePlan) -> Steps:
    """A twin as it trains: 64 random sentences packed into rows."""

    def endless() -> Any:
        epoch = 0
        while True:
            for batch in training_batches(encoded, plan, batch_size=64, seed=12, epoch=epoch, pad_token_id=0):
                if len(batch.examples) == 64:
                    yield batch
            epoch += 1

    batches = endless()

    def run(steps: int) -> int:
        pieces = 0
        for _ in range(steps):
            batch = next(batches)
            metrics = learner.step(batch, 3e-4)
            pieces += batch.num_pieces
        float(metrics.loss_sum)
        return pieces

    return run


def warm_up(learner: Learner, encoded: Encoded, plan: ShapePlan) -> float:
    """Compile a learner's step for each shape of the plan; seconds it took."""
    begun = time.perf_counter()
    seen = set()
    for epoch in range(3):
        for batch in training_batches(encoded, plan, batch_size=64, seed=12, epoch=epoch, pad_token_id=0):
            if batch.input_ids.shape not in seen:
                seen.add(batch.input_ids.shape)
                float(learner.step(batch, 3e-4).loss_sum)
        if len(seen) >= len(plan.shapes):
            break
    return time.perf_counter() - begun


def main(options: Options) -> None:
    """Measure, print the table and write the JSON."""
    corpus = read_corpus(options.data)
    if options.tokenizer == "train":
        tokenizer = train_tokenizer(corpus.splits["train"], 30522)
    else:
        tokenizer = load_tokenizer(options.tokenizer)
    training = training_config("original")
    config = training.model(tokenizer.vocab_size, len(corpus.labels), tokenizer.pad_id)
    encoded = encode(corpus.splits["train"], tokenizer, corpus.labels, config.max_length)
    plan = ShapePlan(encoded.lengths, 64)
    weights = initial_weights(config, 12)
    contenders = {"loop (PyTorch)": loop_contender(config, encoded)}
    contenders["loop (PyTorch)"](1)
    compile_seconds = {}
    for backend in ("torch", "flax"):
        learner = learner_class(backend)(config, training)  # type: ignore[arg-type]
        learner.init(weights)
        compile_seconds[backend] = warm_up(learner, encoded, plan)
        contenders[backend] = twin_contender(learner, encoded, plan)

    rates: dict[str, list[float]] = {name: [] for name in contenders}
    matmul = []
    for _ in range(options.rounds):
        matmul.append(matmul_rate())
        for name, run in contenders.items():
            begun = time.perf_counter()
            pieces = run(options.steps)
            rates[name].append(pieces / (time.perf_counter() - begun))

    flops = FLOPS_PER_WEIGHT * (num_parameters(config) - config.vocab_size * config.hidden_size)
    peak = statistics.median(matmul)
    base = statistics.median(rates["loop (PyTorch)"])
    table = []
    for name, values in rates.items():
        rate = statistics.median(values)
        table.append(
            {
                "contender": name,
                "pieces_per_second": round(rate, 1),
                "all_rounds": [round(v, 1) for v in values],
                "times_loop": round(rate / base, 2),
                "percent_of_matmul_rate": round(100 * rate * flops / peak, 1),
            }
        )
    report = {
        "what": "training, preset original, dropout on, float32, real pieces a second, median of rounds",
        "data": corpus.name,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("jax", "flax", "torch", "numpy")},
        "matmul_gflops": round(peak / 1e9, 1),
        "mflop_per_piece": round(flops / 1e6, 2),
        "floor_pieces_per_second": round(peak / flops, 1),
        "shapes": [list(shape) for shape in plan.shapes],
        "compile_seconds_all_shapes": {name: round(seconds, 1) for name, seconds in compile_seconds.items()},
        "options": {k: str(v) for k, v in dataclasses.asdict(options).items() if k in ("rounds", "steps")},
        "table": table,
    }
    print(f"matmul {peak / 1e9:.0f} GFLOP/s; {flops / 1e6:.1f} MFLOP a piece; the floor: {peak / flops:,.0f} pieces/s")
    for row in table:
        print(
            f"{row['contender']:16} {row['pieces_per_second']:9,.0f} pieces/s {row['times_loop']:6.2f} x loop "
            f"{row['percent_of_matmul_rate']:6.1f} % of the matmul rate"
        )
    if options.json is not None:
        write_json(options.json, report)


if __name__ == "__main__":
    main(tyro.cli(Options))
