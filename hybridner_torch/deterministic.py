"""The same bits from the same work each time, on a GPU too."""

import os

import torch

from hybridner.errors import InputError

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACES = (":4096:8", ":16:8")


def compute_deterministically() -> None:
    """Let PyTorch use only kernels that give the same bits each time, and refuse what has none; a CPU's all do.

    cuBLAS needs a workspace of its own for that, which it reads about when it starts (NVIDIA's documentation of cuBLAS,
    "Results reproducibility"). All of this holds for the process.

    Raises:
        InputError: the environment asks cuBLAS for another workspace.
    """
    chosen = os.environ.setdefault(_WORKSPACE, _WORKSPACES[0])
    if chosen not in _WORKSPACES:
        raise InputError(
            f"--deterministic: {_WORKSPACE} is {chosen!r} in the environment; expected {' or '.join(_WORKSPACES)}, or "
            "leave it out"
        )
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
