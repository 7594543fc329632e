"""``kill-in-save``: SIGKILL while a run saves a checkpoint, the best model, or its first files."""

import random
from pathlib import Path
from typing import Any

from hardening.faults.bench import Bench, Row
from hardening.faults.inside import SAVES
from hybridner.errors import InputError

_WEIGHTS = {"checkpoint": 6, "best": 3, "create": 4, "tokenizer": 3}
_FARTHEST = {"checkpoint": 9, "best": 2, "create": 1, "tokenizer": 1}  # the most saves of a process before it


def kill_in_save(bench: Bench, times: int, seed: int) -> Row:
    """Kill runs inside their saves: half before an operation on the disk, half at a random moment."""
    row, rng = Row("kill-in-save", bench.backend), random.Random(seed)
    hits = dict.fromkeys(SAVES, 0)
    runs = 0
    while row.done < times:
        runs += 1
        run, kills, finds = bench.scratch / f"save-{bench.backend}-{runs}", 0, []
        log = run.with_suffix(".log")
        log.touch()
        while row.done + kills < times:
            harm = {"do": "kill", "log": str(log), **_choose(bench, rng, begun=(run / "config.toml").exists())}
            ended = bench.wait(bench.start(run, harm))
            if ended.code != -9:
                break
            kills += 1
            hits[harm["in"]] += 1
            finds += [f"{find} after {harm}" for find in _unusable(bench, run, log)]
        if ended.code not in (-9, 0):
            row.add([*finds, f"{run.name}: cannot resume: {ended}"], kills)
        else:
            row.add([*finds, *(bench.differences(run) if ended.code == 0 else bench.to_end(run))], kills)
    row.told = {"runs": runs, "killed_in": hits}
    return row


def _choose(bench: Bench, rng: random.Random, *, begun: bool) -> dict[str, Any]:
    places = [place for place in SAVES if not begun or place not in ("create", "tokenizer")]
    (place,) = rng.choices(places, [_WEIGHTS[place] for place in places])
    calls, seconds = (max(numbers) for numbers in zip(*bench.counts[place], strict=True))
    number = rng.randint(1, _FARTHEST[place])
    moment = {"call": rng.randint(0, calls + 1)} if rng.random() < 0.5 else {"after": rng.uniform(0, seconds)}
    return {"in": place, "number": number, **moment}


def _unusable(bench: Bench, run: Path, log: Path) -> list[str]:
    """List what is wrong with a killed run's checkpoints."""
    finished = [int(line) for line in log.read_text(encoding="ascii").split()]
    with bench.store(run) as store:
        if store.latest_step() is None:
            return [f"{run.name}: the checkpoints of steps {finished} are gone"] if finished else []
        try:
            restored = store.restore()
        except InputError as error:
            return [f"{run.name}: {error}"]
    finds = [*restored.notes, *bench.unlike_saved(restored)]
    if finished and restored.state.step < finished[-1]:
        finds.append(f"the newest checkpoint is of step {restored.state.step}, and step {finished[-1]} was finished")
    return [f"{run.name}: {find}" for find in finds]
