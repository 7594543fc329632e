"""Training process that injects a fault at an exact place: ``python -m hardening.faults.inside HARM BACKEND ARGS...``.

``HARM`` is a JSON object: ``"do"`` is the fault, ``"in"`` one of ``PLACES``, ``"number"`` the number of its call:

- ``kill``: SIGKILL inside the place, before its ``"call"``-th operation on the disk (0: before everything; one too
  many: after everything), or ``"after"`` seconds. The file ``"log"`` lists the steps of finished checkpoints.
- ``sigterm``: SIGTERM ``"after"`` seconds after the ``"number"``-th step began; ``"log"`` gets the number of begun
  steps.
- ``fill``: fill the disk of ``"filler"``, before the place; ``limit``: let no file grow beyond ``"bytes"``;
  ``protect``: remove write permission from the run; ``remove``: remove the run.
"""

import errno
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

PLACES = {
    "create": "hybridner.runs.run_dir:RunDir.create",
    "tokenizer": "hybridner.text.tokenizer:WordTokenizer.save",
    "checkpoint": "hybridner.runs.checkpoints:CheckpointStore._write",
    "best": "hybridner.training.selection:save_model",
    "metrics": "hybridner.runs.run_dir:RunDir.append",
    "tensorboard": "hybridner.runs.tensorboard:Board.add",
    "curves": "hybridner.runs.records:plot_curves",
}
SAVES = ("create", "tokenizer", "checkpoint", "best")
Counts = dict[str, list[tuple[int, float]]]
_Around = Callable[[Callable[[], Any], tuple[Any, ...]], Any]
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}


class Disk:
    """An observer of each operation that changes the disk, as far as Python's audit events show it."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[], None]] = []
        self._fsync = os.fsync
        sys.addaudithook(self._heard)

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call ``watcher`` before each operation while the block runs."""
        self._watchers.append(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def fsync(self, number: int) -> None:
        """Call ``os.fsync``, which has no audit event."""
        self._tell()
        self._fsync(number)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watchers:
            return
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in _CHANGES:
            self._tell()

    def _tell(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


@contextmanager
def around(place: str, does: _Around) -> Iterator[None]:
    """Replace a function by ``does(call, arguments)`` while the block runs."""
    module, _, path = PLACES[place].partition(":")
    *parents, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for parent in parents:
        owner = getattr(owner, parent)
    function = getattr(owner, name)

    def harmed(*args: Any, **kwargs: Any) -> Any:
        return does(lambda: function(*args, **kwargs), args)

    with mock.patch.object(owner, name, harmed):
        yield


@contextmanager
def counting() -> Iterator[Counts]:
    """Record the disk operations and seconds of each call of the places that save."""
    counts: Counts = {place: [] for place in SAVES}
    disk = Disk()

    def counter(place: str) -> _Around:
        def count(call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
            heard: list[None] = []
            begun = time.perf_counter()
            with disk.watched(lambda: heard.append(None)):
                result = call()
            counts[place].append((len(heard), time.perf_counter() - begun))
            return result

        return count

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(os, "fsync", disk.fsync))
        for place in SAVES:
            stack.enter_context(around(place, counter(place)))
        yield counts


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill(harm: dict[str, Any], stack: ExitStack) -> None:
    disk, calls, log = Disk(), dict.fromkeys(SAVES, 0), Path(harm["log"])
    stack.enter_context(mock.patch.object(os, "fsync", disk.fsync))

    def killer(place: str) -> _Around:
        def run(call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
            calls[place] += 1
            due = place == harm["in"] and calls[place] >= harm["number"]
            result = _killed_inside(call, harm, disk) if due else call()
            if place == "checkpoint":
                with log.open("a", encoding="ascii") as file:
                    file.write(f"{args[1].step}\n")
            return result

        return run

    for place in {harm["in"], "checkpoint"}:
        stack.enter_context(around(place, killer(place)))


def _killed_inside(call: Callable[[], Any], harm: dict[str, Any], disk: Disk) -> Any:
    heard: list[None] = []

    def operation() -> None:
        heard.append(None)
        if len(heard) == harm["call"]:
            _die()

    if "call" in harm:
        if harm["call"] == 0:
            _die()
        with disk.watched(operation):
            call()
        _die()
    ended = threading.Event()

    def later() -> None:
        if not ended.wait(harm["after"]):
            _die()

    threading.Thread(target=later, daemon=True).start()
    try:
        return call()
    finally:
        ended.set()


def _sigterm(harm: dict[str, Any], stack: ExitStack, backend: str) -> None:
    learner = importlib.import_module(f"hybridner_{backend}.learner").Learner
    step = learner.step
    begun: list[None] = []

    def send() -> None:
        time.sleep(harm["after"])
        seen = len(begun)
        os.kill(os.getpid(), signal.SIGTERM)
        Path(harm["log"]).write_text(str(seen), encoding="ascii")

    def counted(self: Any, *args: Any) -> Any:
        begun.append(None)
        if len(begun) == harm["number"]:
            threading.Thread(target=send).start()
        return step(self, *args)

    stack.enter_context(mock.patch.object(learner, "step", counted))


def _before(harm: dict[str, Any], stack: ExitStack, does: Callable[[], None]) -> None:
    calls: list[None] = []

    def run(call: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        calls.append(None)
        if len(calls) == harm["number"]:
            does()
        return call()

    stack.enter_context(around(harm["in"], run))


def fill(path: Path) -> None:
    """Write a file at ``path`` until nothing more fits on its disk."""
    size = 1 << 20
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                if file.write(bytes(size)) < size:
                    size //= 2
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def remove(run: Path) -> None:
    """Remove a run that may be writing at the moment, with as many attempts as it takes."""
    while run.exists():
        shutil.rmtree(run, ignore_errors=True)


def protect(run: Path, *, writable: bool = False) -> None:
    """Remove or restore write permission in a run."""
    for path in (run, *run.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if writable else mode & ~0o222)


def harm_in(harm: dict[str, Any], stack: ExitStack, backend: str, run: Path) -> None:
    """Prepare ``harm`` for the training that will begin in this process."""
    if harm["do"] == "kill":
        _kill(harm, stack)
    elif harm["do"] == "sigterm":
        _sigterm(harm, stack, backend)
    else:
        does: dict[str, Callable[[], None]] = {
            "fill": lambda: fill(Path(harm["filler"])),
            "limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (harm["bytes"], resource.RLIM_INFINITY)),
            "protect": lambda: protect(run),
            "remove": lambda: remove(run),
        }
        _before(harm, stack, does[harm["do"]])


def main(harm: dict[str, Any], backend: Any, args: list[str]) -> None:
    """Train as the user's command does, with the fault."""
    from hybridner.cli.train import main as train

    run = Path(next(arg for arg in args if arg.startswith("--output=")).partition("=")[2])
    sys.argv = [f"train_{backend}.py", *args]
    with ExitStack() as stack:
        harm_in(harm, stack, backend, run)
        train(backend)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:])
