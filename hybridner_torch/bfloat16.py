"""A trial of PyTorch's bfloat16 on this CPU, in a process that may die of it."""

import subprocess
import sys
from functools import cache

from hybridner.errors import InputError

# Some virtual CPUs announce AMX and have it switched off: PyTorch's bfloat16 matmul is then an illegal instruction.
TRIAL = "import torch; torch.ones(64, 256).bfloat16() @ torch.ones(256, 1024).bfloat16()"


@cache
def check_on_cpu() -> None:
    """Run the trial; raise :class:`InputError` if it fails."""
    code = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True).returncode
    if code:
        raise InputError(f"--dtype bfloat16: PyTorch cannot multiply in it on this CPU (exit code {code}); use float32")
