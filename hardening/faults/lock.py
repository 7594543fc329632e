"""``lock``: a training run keeps others out of its folder, but only while it lives."""

import signal

from hardening.faults.bench import Bench, Row, one_line, wait_for_step


def lock(bench: Bench, times: int, seed: int) -> Row:
    """Start other processes in a training run's folder, then let it continue; kill a run, and resume it at once."""
    row = Row("lock", bench.backend, told={"said": {}})
    for number in range(times):
        run = bench.scratch / f"lock-{bench.backend}-{number}"
        first = bench.start(run)
        wait_for_step(run, 3, [first])
        first.send_signal(signal.SIGSTOP)  # pause: it must still train when the others start
        finds = []
        for how in ("--resume", "--overwrite"):
            second = bench.wait(bench.start(run, how=how))
            finds += [f"{run.name}: {how}: {find}" for find in one_line(second, 2)]
            row.told["said"][how] = bench.said(second)
        first.send_signal(signal.SIGCONT)
        ended = bench.wait(first)
        row.add([*finds, *([f"{run.name}: the first run fails: {ended}"] if ended.code else bench.differences(run))])

        run = run.with_name(f"{run.name}-killed")
        first = bench.start(run)
        wait_for_step(run, 3, [first])
        first.kill()
        bench.wait(first)
        row.add(bench.to_end(run))
    return row
