"""The two processes of a run, started by the user's commands on one host."""

import os
import socket
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def start(backend, rank, address, args, folder):
    """Start process ``rank`` of two, which join at ``address``."""
    host, _, port = address.partition(":")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    if backend == "torch":
        env |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": host, "MASTER_PORT": port}
    else:
        args = [*args, "--coordinator", address, "--num-processes", "2", "--process-id", str(rank)]
    command = [sys.executable, str(REPOSITORY / f"train_{backend}.py"), *args]
    return subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def start_both(backend, args, folder):
    address = free_address()
    return [start(backend, rank, address, args, folder) for rank in range(2)]


def finish(processes):
    """Return each process's standard output and error; all end with exit code 0."""
    printed = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    return printed
