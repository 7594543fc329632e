"""A trial of PyTorch's bfloat16 on this CPU, in a process that it may kill."""

import subprocess
import sys
from functools import cache

from hybridner.errors import InputError

# Some virtual CPUs announce AMX but disable it: PyTorch's bfloat16 matmul is then an illegal instruction.
TRIAL = "import torch; torch.ones(64, 256).bfloat16() @ torch.ones(256, 1024).bfloat16()"


@cache
def check_on_cpu() -> None:
    """Raise :class:`InputError` if this CPU cannot multiply in bfloat16."""
    code = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True).returncode
    if code:
        raise InputError(f"--dtype bfloat16: PyTorch cannot multiply in it on this CPU (exit code {code}); use float32")
