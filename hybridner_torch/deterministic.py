"""Bitwise repeatable results, also on a GPU."""

import os

import torch


def compute_deterministically() -> None:
    """Restrict PyTorch to deterministic kernels in this process, refusing operations without one; a CPU's all are.

    cuBLAS needs a fixed workspace (NVIDIA's cuBLAS documentation, "Results reproducibility"); PyTorch refuses an
    unsuitable ``CUBLAS_WORKSPACE_CONFIG``.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
