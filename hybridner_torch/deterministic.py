"""The same bits from the same work each time, on a GPU too."""

import os

import torch


def compute_deterministically() -> None:
    """Let PyTorch use only kernels that give the same bits each time, and refuse what has none; a CPU's all do.

    cuBLAS needs a workspace for that (NVIDIA's documentation of cuBLAS, "Results reproducibility"); PyTorch refuses
    another one that the environment names. All of this applies to the whole process.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
