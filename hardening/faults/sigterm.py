"""``sigterm``: the current step ends, the run saves its state and resumes from there."""

import random
import re

from hardening.faults.bench import Bench, Row

_STOPPED = re.compile(r"stopped by SIGTERM at step ([\d,]+) of [\d,]+, which is saved")
_LONGEST_STEP = 0.05  # seconds


def sigterm(bench: Bench, times: int, seed: int) -> Row:
    """Send SIGTERM at random moments of training, each in a separate run."""
    row, rng = Row("sigterm", bench.backend), random.Random(seed)
    later: list[int] = []
    for number in range(times):
        run = bench.scratch / f"sigterm-{bench.backend}-{number}"
        log = run.with_suffix(".log")
        harm = {"do": "sigterm", "number": rng.randint(1, bench.steps - 5), "after": rng.uniform(0, _LONGEST_STEP)}
        ended = bench.wait(bench.start(run, {**harm, "log": str(log)}))
        stopped = _STOPPED.search(ended.out)
        if ended.code != 143 or ended.err or stopped is None:
            row.add([f"{run.name}: {harm}: {ended}, stdout ends with {ended.out[-300:]!r}"])
            continue
        step, begun = int(stopped[1].replace(",", "")), int(log.read_text(encoding="ascii"))
        later.append(step - begun)
        finds = []
        if later[-1] not in (0, 1):
            finds.append(f"{run.name}: {begun} steps had begun, and it stopped after {step}")
        with bench.store(run) as store:
            saved = store.restore().state.step
        if saved != step:
            finds.append(f"{run.name}: step {step} is said to be saved, and the checkpoint is of step {saved}")
        row.add([*finds, *bench.to_end(run)])
    row.told = {"steps_begun_after_the_signal": later}
    return row
