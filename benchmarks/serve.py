"""A contender in a separate process, which answers each command on its input with a line of JSON.

Its one argument is ``{"name": …, "data": …, "tokenizer": …, "steps": …, "cache": …}``. It first prints the size of the
work. A command is the name of a method; the answer gives the seconds that it took and its result.
"""

import json
import os
import sys
import time
from typing import Any

from hybridner.config.presets import make_options
from hybridner.training.allocator import gains_by_keeping, keep_freed_memory


def main(name: str, cache: str | None, **corpus: Any) -> None:
    """Make contender ``name`` of ``benchmarks.contenders`` and answer; ``cache`` is a folder for compiled programs."""
    if cache is not None:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
    else:
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    if name in ("flax", "torch") and gains_by_keeping(name, make_options("original", data=corpus["data"])):
        keep_freed_memory()  # as early as the command does it
    from benchmarks.contenders import CONTENDERS, Data

    prepared = Data(**corpus)
    contender = CONTENDERS[name](prepared)
    answer({"pieces": prepared.pieces(), "words": prepared.words()})
    for line in sys.stdin:
        begun = time.perf_counter()
        result = getattr(contender, line.strip())()
        answer([time.perf_counter() - begun, result])


def answer(what: Any) -> None:
    """Write a line without buffering."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
