"""``hosts``: after one of two processes of a run is killed, the other ends soon, and both resume together."""

import random
import socket
import subprocess
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from hardening.faults.bench import Bench, Row, wait_for_step
from hardening.faults.inside import Counts

_SOON = 120  # seconds


class TwoProcesses(Bench):
    """A run of two processes with one device each."""

    @cached_property
    def _undisturbed(self) -> tuple[Path, Counts]:
        run = self.scratch / f"whole-{self.backend}"
        self.must_end(self.start_both(run, keep_checkpoints=10_000))
        return run, {}

    def start_both(self, run: Path, **more: Any) -> "list[subprocess.Popen[str]]":
        """Start both processes of the user's command."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        started = []
        for rank in range(2):
            env = {"OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
            if self.backend == "torch":
                env |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            else:
                more = {**more, "coordinator": f"127.0.0.1:{port}", "num_processes": 2, "process_id": rank}
            started.append(self.start(run, env=env, **more))
        return started

    def must_end(self, processes: "list[subprocess.Popen[str]]") -> None:
        """Wait for both.

        Raises:
            RuntimeError: one fails.
        """
        ended = [self.wait(process) for process in processes]
        if any(one.code for one in ended):
            raise RuntimeError(f"the undisturbed run fails: {'; '.join(map(str, ended))}")

    def to_end(self, run: Path) -> list[str]:
        """Resume ``run`` to its end with both processes; list its differences from the undisturbed one."""
        ended = [self.wait(process) for process in self.start_both(run)]
        if any(one.code for one in ended):
            return [f"{run.name}: cannot resume: {'; '.join(map(str, ended))}"]
        return self.differences(run)


def hosts(bench: Bench, times: int, seed: int) -> Row:
    """Kill one of two processes at a random step, alternating between the first and the second."""
    row, rng = Row("hosts", bench.backend, told={"seconds": []}), random.Random(seed)
    both = TwoProcesses(bench.backend, bench.scratch / "hosts", bench.epochs)
    for number in range(times):
        run = both.scratch / f"hosts-{bench.backend}-{number}"
        processes = both.start_both(run)
        wait_for_step(run, rng.randrange(1, both.steps), processes)
        killed = number % 2
        processes[killed].kill()
        begun = time.perf_counter()
        left = both.wait(processes[1 - killed])
        row.told["seconds"].append(round(time.perf_counter() - begun, 1))
        both.wait(processes[killed])
        finds = [] if left.code else ["exit 0, although the other process was killed"]
        if row.told["seconds"][-1] > _SOON:
            finds.append(f"it took {row.told['seconds'][-1]} s to end")
        row.add([*(f"{run.name}, process {killed} killed: {find}" for find in finds), *both.to_end(run)])
    return row
