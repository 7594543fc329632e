"""The minimum cost of a piece: the FLOP of its matmuls with weights, and a machine's matmul rate."""

import math
import statistics
import time

from hybridner.config.model import ModelConfig
from hybridner.model.weights import num_parameters

FLOPS_PER_WEIGHT = 6  # multiply and add, forward once and backward twice
MATMUL = (1280, 256, 1024)  # rows, inner and columns of a matmul of the preset ``original``


def flops_per_piece(config: ModelConfig) -> int:
    """Return the FLOP per trained piece in matmuls with weights; the embedding is a look-up."""
    return FLOPS_PER_WEIGHT * (num_parameters(config) - config.input.vocab_size * config.encoder.hidden_size)


def matmul_rate() -> float:
    """Measure PyTorch's rate in FLOP/s of a float32 matmul of the preset's size on the CPU."""
    import torch

    rows, inner, columns = MATMUL
    a, b = torch.randn(rows, inner), torch.randn(inner, columns)
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(5):
            a @ b
        times.append((time.perf_counter() - begun) / 5)
    return 2 * math.prod(MATMUL) / statistics.median(times)
