"""A process that reads one case after the other within limits, and restarts after a case that kills it."""

import contextlib
import faulthandler
import multiprocessing
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hardening.fuzz.cases import ACCEPTED, CRASH, HANG, MEMORY, MESSAGE, NOISE, REFUSED, TRACEBACK, Limits, Outcome
from hybridner.errors import InputError

LONGEST_MESSAGE = 2000
_NOISE = re.compile(r"Traceback \(most recent call last\)|panicked at|Fatal Python error|Exception ignored")
NO_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_VARIABLE = re.compile(r"/\S+|'.*'|\".*\"|['\"].*|\(.*\)|\[.*\]|\{.*\}|-?\d[\d.,_e+-]*")
_OURS = ("hybridner", "hybridner_flax", "hybridner_torch")
_GRACE = 0.2  # of the time of a case, for the process to print where it hangs
_REPORT = 20_000
Reads = dict[str, Callable[[Path], object]]


class ReadingProcess:
    """A separate process that reads cases."""

    def __init__(self, reads: Reads, warm_up: list[tuple[str, Path]], limits: Limits, scratch: Path) -> None:
        """Start the process.

        Args:
            reads: functions by kind; each must be importable.
            warm_up: kinds and folders of intact cases, read before the limits are set.
            limits: of a case.
            scratch: a folder for temporary files.

        Raises:
            RuntimeError: the process cannot read an intact case.
        """
        self._arguments = (reads, warm_up, limits, scratch)
        self._limits = limits
        self._errors = scratch / "stderr"
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(*self._arguments, self._errors, theirs), daemon=True)
        self._process.start()
        theirs.close()
        try:
            failed = self._connection.recv()
        except EOFError:
            failed = self._errors.read_text(errors="replace")
        if failed:
            raise RuntimeError(f"whole files cannot be read: {failed}")

    def read(self, kind: str, folder: Path) -> Outcome:
        """Read a case; if it seems to hang or to kill the process, try it once more in a new process."""
        outcome = self._read_once(kind, folder)
        if outcome.result in (HANG, CRASH, MEMORY):
            again = self._read_once(kind, folder)
            return outcome if again.result == outcome.result else again
        return outcome

    def _read_once(self, kind: str, folder: Path) -> Outcome:
        begun = time.perf_counter()
        with contextlib.suppress(BrokenPipeError):
            self._connection.send((kind, folder))
        try:
            if self._connection.poll((1 + _GRACE) * self._limits.seconds):
                outcome: Outcome = self._connection.recv()
                if outcome.result == MEMORY:
                    self.stop()
                    self._start()
                return outcome
            result, what = HANG, ""
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            result, what = CRASH, signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self.stop()
        report = self._errors.read_text(errors="replace")[:_REPORT]
        self._start()
        return Outcome(result, what or _place(report), report, time.perf_counter() - begun)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _place(stack: str) -> str:
    """Return the innermost of our functions in faulthandler's output."""
    for name, function in re.findall(r'File "[^"]*?(\w+/[\w/]+\.py)", line \d+ in (\S+)', stack):
        if name.split("/")[0] in _OURS:
            return f"{name}:{function}"
    return "unknown"


def _serve(
    reads: Reads, warm_up: list[tuple[str, Path]], limits: Limits, scratch: Path, errors: Path, connection: Connection
) -> None:
    scratch.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(scratch)
    with errors.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    faulthandler.enable(all_threads=False)
    for kind, folder in warm_up:
        outcome = _outcome(reads[kind], folder, errors)
        if outcome.result != ACCEPTED:
            connection.send(f"{folder.name}: {outcome.report}")
            return
    bound = _status("VmSize") + limits.address_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.send("")
    while True:
        try:
            kind, folder = connection.recv()
        except EOFError:
            return
        faulthandler.dump_traceback_later(limits.seconds, exit=False)
        outcome = _outcome(reads[kind], folder, errors, limits.memory_mib)
        faulthandler.cancel_dump_traceback_later()
        connection.send(outcome)


def _outcome(read: Callable[[Path], object], folder: Path, errors: Path, memory_mib: int = 2**20) -> Outcome:
    before = _status("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    written = errors.stat().st_size
    begun = time.perf_counter()
    result, sign, report = ACCEPTED, "", ""
    try:
        sign = skeleton(str(read(folder)))
    except InputError as error:
        report = str(error)
        result, sign = REFUSED, skeleton(report.replace(str(folder), ""))
        if len(report) - len(str(folder)) > LONGEST_MESSAGE or NO_LINE.search(report):
            result, sign, report = MESSAGE, _raised_at(error), repr(report)[:_REPORT]
    except MemoryError:
        result, sign, report = MEMORY, "MemoryError", traceback.format_exc()[-_REPORT:]
    except BaseException as error:  # the Rust libraries' errors are no Exception
        result, sign, report = TRACEBACK, _raised_at(error), traceback.format_exc()[-_REPORT:]
    seconds = time.perf_counter() - begun
    grown = max(0, _status("VmHWM") - before) / 2**20
    sys.stdout.flush()
    sys.stderr.flush()
    if errors.stat().st_size > written:
        with errors.open("rb") as file:
            file.seek(written)
            printed = file.read(_REPORT).decode(errors="replace")
        if result in (ACCEPTED, REFUSED) and _NOISE.search(printed):
            lines = printed.strip().splitlines()
            result, sign, report = NOISE, skeleton(" ".join(lines[:2])), printed
    if grown > memory_mib and result in (ACCEPTED, REFUSED):
        result, sign, report = MEMORY, f"resident: {sign}", f"{grown:.0f} MiB; {report}"
    return Outcome(result, sign, report, seconds, grown)


def skeleton(message: str) -> str:
    """Return a message without names, numbers and quoted parts."""
    return _VARIABLE.sub("…", message[:LONGEST_MESSAGE])[:120]


def _raised_at(error: BaseException) -> str:
    """Return the kind of an exception and the innermost of our functions in its traceback."""
    frames: list[Any] = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(f"/{name}/" in frame.filename for name in _OURS)]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.name}"


def _status(name: str) -> int:
    """Return a number of bytes from Linux's ``/proc/self/status``."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 if found else 0
