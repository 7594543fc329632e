"""``read-only`` and ``gone``: a run loses its write permission, or its folder, while it trains."""

import os
import shutil

from hardening.faults.bench import Bench, Row, one_line
from hardening.faults.inside import protect

_NUMBERS = {"checkpoint": 4, "best": 1, "metrics": 4, "tensorboard": 2, "curves": 2}
# Root may write everywhere, unless a process drops that right.
_BOUND = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-all")


def read_only(bench: Bench, times: int, seed: int) -> Row:
    """Remove write permission before each place that writes; restore it, and the run resumes."""
    row = Row("read-only", bench.backend)
    prefix = _BOUND if os.geteuid() == 0 else ()
    if prefix and shutil.which(prefix[0]) is None:
        row.skipped = "the user is root, and there is no setpriv"
        return row
    row.told["said"] = {}
    for place in list(_NUMBERS)[:times]:
        run = bench.scratch / f"read-only-{bench.backend}-{place}"
        harm = {"do": "protect", "in": place, "number": _NUMBERS[place]}
        ended = bench.wait(bench.start(run, harm, prefix=prefix))
        row.told["said"][place] = bench.said(ended)
        protect(run, writable=True)
        finds = [*one_line(ended, 2, orbax=bench.backend == "flax"), *bench.to_end(run)]
        row.add([f"read-only before {place}: {find}" for find in finds])
    return row


def gone(bench: Bench, times: int, seed: int) -> Row:
    """Remove the run before each place that writes; the same command then starts a new one."""
    row = Row("gone", bench.backend, told={"said": {}})
    for place in list(_NUMBERS)[:times]:
        run = bench.scratch / f"gone-{bench.backend}-{place}"
        ended = bench.wait(bench.start(run, {"do": "remove", "in": place, "number": _NUMBERS[place]}))
        row.told["said"][place] = bench.said(ended)
        finds = [*one_line(ended, 2, orbax=bench.backend == "flax"), *bench.to_end(run)]
        row.add([f"gone before {place}: {find}" for find in finds])
    return row
