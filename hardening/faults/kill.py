"""``kill``: SIGKILL at any moment of a run, again and again until it ends."""

import random
import subprocess

from hardening.faults.bench import Bench, Row


def kill(bench: Bench, times: int, seed: int) -> Row:
    """Kill runs at moments drawn evenly from a whole run's time, including its start."""
    row, rng = Row("kill", bench.backend), random.Random(seed)
    limit, saved_at, runs = bench.seconds, [], 0
    while row.done < times:
        runs += 1
        run, kills = bench.scratch / f"kill-{bench.backend}-{runs}", 0
        finds = None
        while row.done + kills < times:
            process = bench.start(run)
            try:
                process.wait(rng.uniform(0, limit))
            except subprocess.TimeoutExpired:
                process.kill()
                bench.wait(process)
                kills += 1
                with bench.store(run) as store:
                    saved_at.append(store.latest_step() or 0)
                continue
            ended = bench.wait(process)
            finds = [f"{run.name}: fails after {kills} kills: {ended}"] if ended.code else bench.differences(run)
            break
        row.add(bench.to_end(run) if finds is None else finds, kills)
    row.told = {"runs": runs, "steps_of_a_run": bench.steps, "newest_checkpoint_at_each_kill": saved_at}
    return row
