"""Whether PyTorch can compute in bfloat16 on this CPU, tried in a process that may die of it."""

import functools
import signal
import subprocess
import sys

from hybridner.errors import InputError

# Some virtual CPUs announce AMX and have it switched off: PyTorch's bfloat16 matmul is then an illegal instruction.
TRIAL = """
import torch
with torch.autocast("cpu", torch.bfloat16):
    layer = torch.nn.Linear(256, 1024)
    layer(torch.ones(64, 256)).sum().backward()
"""
_SECONDS = 120


def check_on_cpu() -> None:
    """Let a child process run the trial.

    Raises:
        InputError: the child died.
    """
    how = _died(TRIAL)
    if how:
        raise InputError(
            f"--dtype bfloat16: PyTorch's bfloat16 matmul failed on this CPU in a trial process ({how}); use float32"
        )


@functools.cache
def _died(trial: str) -> str:
    try:
        code = subprocess.run([sys.executable, "-c", trial], capture_output=True, timeout=_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return f"no end within {_SECONDS} s"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}" if code else ""
