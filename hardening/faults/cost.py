"""``cost``: the cost of checkpoints in a run of the preset ``original``."""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import hybridner
from hardening.faults.bench import REPOSITORY
from hybridner.config.presets import make_options
from hybridner.model.twins import Backend, learner_class
from hybridner.runs import checkpoints
from hybridner.runs.checkpoints import CheckpointStore
from hybridner.runs.run_dir import RunDir
from hybridner.training.saving import Saving

_EVERY = 50
_CHILD = "import json, sys; from hardening.faults.cost import measure; print(json.dumps(measure(*sys.argv[1:])))"


def cost(backend: Backend, data: str, tokenizer: str, max_steps: int | None) -> dict[str, Any]:
    """Measure one epoch, or its first ``max_steps`` steps, in a separate process."""
    command = [sys.executable, "-c", _CHILD, backend, data, tokenizer, str(max_steps or "")]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(backend: Backend, data: str, tokenizer: str, max_steps: str) -> dict[str, Any]:
    """Train with a checkpoint every ``_EVERY`` steps and one at the end; return the seconds of each part of each save.

    The loop waits while it takes the snapshot, checks that it is finite, and passes it on; writing, checksums and
    forcing to disk run in the background.
    """
    seconds: dict[str, list[float]] = {}
    options: dict[str, Any] = {"preset": "original", "data": data, "tokenizer": tokenizer, "epochs": 1}
    options |= {"checkpoint_every": _EVERY, "max_steps": int(max_steps) if max_steps else None}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for name, owner, function in (
            ("loop", Saving, "save"),
            ("snapshot", learner_class(backend), "snapshot"),
            ("in_background", CheckpointStore, "_write"),
            ("of_it_sync", checkpoints, "_sync_tree"),
        ):
            stack.enter_context(_timed(owner, function, seconds.setdefault(name, [])))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        run = Path(folder) / "run"
        hybridner.train(backend, output=run, **options)
        epoch = next(record for record in RunDir(run).records() if record["event"] == "epoch")
        newest = run / "checkpoints" / str(epoch["step"])
        size = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
    between = 60 * make_options("original").run.checkpoint_minutes
    wait = sum(seconds["loop"]) / len(seconds["loop"])
    return {
        "backend": backend,
        "steps": epoch["step"],
        "training_seconds": epoch["seconds"],
        "checkpoint_bytes": size,
        "seconds_of_each_save": {name: [round(one, 4) for one in each] for name, each in seconds.items()},
        "seconds_between_checkpoints_by_default": between,
        "share_of_training_by_default": round(wait / between, 6),
    }


def _timed(owner: Any, name: str, seconds: list[float]) -> Any:
    function: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - begun)

    return mock.patch.object(owner, name, timed)
