"""A backend's small run: its start, its undisturbed result, and another run's differences from that result."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hybridner
from hardening.faults.inside import Counts, counting
from hybridner.model.twins import Backend
from hybridner.parity.errors import bitwise_difference
from hybridner.runs.checkpoints import CheckpointStore, Restored, open_checkpoints

REPOSITORY = Path(__file__).parents[2]
OPTIONS = {
    "preset": "tiny",
    "hidden_size": 32,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "vocab_size": 200,
    "max_length": 32,
    "batch_size": 12,
    "log_every": 3,
    "average": 0.9,
    "checkpoint_every": 2,
}
BATCHES = 5
_SENTENCES = {"train": range(30), "valid": range(30, 35), "test": range(35, 40)}
_ROWS = "the O\nmayor O\n{} B-PER\n{} I-PER\nsleeps O\n\nthey O\nleft O\nthe O\nvillage O\n{} B-LOC\n\n"
_NAMES = ("Anna", "Berta", "Carl", "Dora", "Emil", "Frida", "Gustav", "Hanna", "Ida", "Jan", "Karl", "Lena")
_TIMES = ("seconds", "pieces_per_second")
_TIMES_IN_PROGRESS = ("epoch_seconds", "metrics_bytes")
_KINDS = ("weights", "exp_avg", "exp_avg_sq", "average")
_OWN_OPTIONS = ("output", "resume", "keep_checkpoints", "coordinator", "num_processes", "process_id")  # one per run
_SHOWN = 500  # letters
_LIMIT, _HUNG = 300, 124  # seconds after which a process counts as hung, and its exit code


@dataclass
class Row:
    """The result of one kind of fault in one backend.

    Attributes:
        name: the kind of fault.
        backend: "flax" or "torch".
        done: number of injected faults.
        held: number of those without a failure.
        finds: the failures.
        told: further counts.
        skipped: the reason why this machine cannot inject the fault.
    """

    name: str
    backend: Backend
    done: int = 0
    held: int = 0
    finds: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""

    def add(self, finds: Sequence[str], done: int = 1) -> None:
        """Count ``done`` injected faults and the failures after them."""
        self.done += done
        self.held += 0 if finds else done
        self.finds += finds


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}, stderr {self.err[-300:]!r}"


class Bench:
    """A run of one backend, small enough to repeat many times.

    Attributes:
        backend: "flax" or "torch".
        scratch: folder of the runs.
        epochs: length of a run.
        in_process: undisturbed runs share this process, which saves their start.
    """

    def __init__(self, backend: Backend, scratch: Path, epochs: int, *, in_process: bool = False) -> None:
        self.backend, self.scratch, self.epochs, self.in_process = backend, scratch, epochs, in_process
        self.steps = epochs * BATCHES
        self.corpus = scratch / "corpus"
        self.corpus.mkdir(parents=True, exist_ok=True)
        for split, numbers in _SENTENCES.items():
            rows = [_ROWS.format(_NAMES[i % 12], _NAMES[(i * 5 + 1) % 12], _NAMES[(i * 7 + 3) % 12]) for i in numbers]
            (self.corpus / f"{split}.txt").write_text("".join(rows), encoding="utf-8")
        self.env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

    @cached_property
    def _undisturbed(self) -> tuple[Path, Counts]:
        run = self.scratch / f"whole-{self.backend}"
        with counting() as counts:
            self._here(run, keep_checkpoints=10_000)
        return run, counts

    @property
    def whole(self) -> Path:
        """Return the undisturbed run, which keeps every checkpoint."""
        return self._undisturbed[0]

    @property
    def counts(self) -> Counts:
        """Return that run's operations on the disk."""
        return self._undisturbed[1]

    @cached_property
    def seconds(self) -> float:
        """Return the seconds of the user's whole command with compiled programs."""
        begun = time.perf_counter()
        ended = self.wait(self.start(self.scratch / f"timed-{self.backend}"))
        if ended.code:
            raise RuntimeError(f"the undisturbed run fails: {ended}")
        return time.perf_counter() - begun

    def start(
        self,
        run: Path,
        harm: dict[str, Any] | None = None,
        *,
        prefix: Sequence[str] = (),
        how: str = "--resume",
        env: Mapping[str, str] = MappingProxyType({}),
        **more: Any,
    ) -> "subprocess.Popen[str]":
        """Start the user's command in a separate process, which begins or resumes ``run``.

        Args:
            run: the run's folder.
            harm: the fault that the process injects into itself, in the form of ``inside``.
            prefix: words before the command.
            how: the option for an existing run.
            env: environment in addition to that of all processes.
            **more: options in addition to those of all runs.
        """
        args = [f"--{name.replace('_', '-')}={value}" for name, value in self.options(run, **more).items()]
        script = [str(REPOSITORY / f"train_{self.backend}.py")]
        if harm is not None:
            script = ["-m", "hardening.faults.inside", json.dumps(harm), self.backend]
        command = [*prefix, sys.executable, *script, *args, how]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env={**self.env, **env}, cwd=self.scratch, **pipes)

    def wait(self, process: "subprocess.Popen[str]") -> Ended:
        """Wait for a process; kill one that hangs, with the exit code of ``timeout``."""
        try:
            out, err = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Ended(_HUNG, out, f"{err}(hung for {_LIMIT} s)")
        return Ended(process.returncode, out, err)

    def said(self, ended: Ended) -> str:
        """Return the beginning of a process' stderr, without this bench's path."""
        return ended.err.strip().replace(str(self.scratch), "…")[:_SHOWN]

    def to_end(self, run: Path) -> list[str]:
        """Resume ``run`` to its end and list its differences from the undisturbed one."""
        if self.in_process:
            self._here(run, resume=True)
        elif (ended := self.wait(self.start(run))).code:
            return [f"{run.name}: cannot resume: {ended}"]
        return self.differences(run)

    def _here(self, run: Path, **more: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            hybridner.train(self.backend, **self.options(run, **more))

    def options(self, run: Path, **more: Any) -> dict[str, Any]:
        """Return the options of a run."""
        return {**OPTIONS, "data": str(self.corpus), "output": str(run), "epochs": self.epochs, **more}

    @contextlib.contextmanager
    def store(self, run: Path) -> Iterator[CheckpointStore]:
        """Open the checkpoints of a run for reading."""
        store = open_checkpoints(self.backend, run / "checkpoints", read_only=True)
        try:
            yield store
        finally:
            store.close()

    def unlike_saved(self, restored: Restored) -> list[str]:
        """List how a state and its progress differ from the undisturbed run's at the step that it claims."""
        state, saved, _ = restored
        with self.store(self.whole) as store:
            expected, progress, _ = store.restore(state.step)
        finds = [
            f"step {state.step}: {kind} differ: {found}"
            for kind in _KINDS
            if (found := bitwise_difference(getattr(state, kind), getattr(expected, kind))) is not None
        ]
        here, there = _without_times(saved), _without_times(progress)
        differing = [name for name in sorted(here.keys() | there.keys()) if here.get(name) != there.get(name)]
        return [
            *finds,
            *(f"step {state.step}: {name} is {here.get(name)}, not {there.get(name)}" for name in differing),
        ]

    def differences(self, run: Path) -> list[str]:
        """List how a finished run differs from the undisturbed one, except for times."""
        finds = _differing_records(metrics(run), metrics(self.whole))
        for path in sorted((self.whole / "best").iterdir()):
            other = run / "best" / path.name
            if not other.is_file() or other.read_bytes() != path.read_bytes():
                finds.append(f"best/{path.name} differs")
        if (run / "tokenizer.json").read_bytes() != (self.whole / "tokenizer.json").read_bytes():
            finds.append("tokenizer.json differs")
        if _settings(run) != _settings(self.whole):
            finds.append("config.toml differs")
        with self.store(run) as store:
            restored = store.restore()
        if restored.state.step != self.steps:
            finds.append(f"the newest checkpoint is of step {restored.state.step}, not {self.steps}")
        finds += [*restored.notes, *self.unlike_saved(restored)]
        saved_bytes = restored.progress["progress"]["metrics_bytes"]
        whole_lines = (run / "metrics.jsonl").read_bytes()[:saved_bytes].splitlines()
        if len(whole_lines) != len(metrics(run)) - 1:  # all except that of the test split
            finds.append("metrics_bytes is not the length of what was written before the last checkpoint")
        for suffix in (".partial", ".old", ".damaged", ".tmp"):
            finds += [f"{path.relative_to(run)} was left" for path in run.rglob(f"*{suffix}")]
        return [f"{run.name}: {find}" for find in finds]


def metrics(run: Path) -> list[dict[str, Any]]:
    """Return the lines of ``metrics.jsonl`` without times."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in record.items() if name not in _TIMES} for record in records]


def wait_for_step(run: Path, step: int, processes: "Sequence[subprocess.Popen[str]]") -> None:
    """Wait until a run has written the loss of ``step``, or one of its processes has ended."""
    path = run / "metrics.jsonl"
    while all(process.poll() is None for process in processes):
        if path.exists() and any(record["step"] >= step for record in map(json.loads, _whole_lines(path))):
            return
        time.sleep(0.01)


def _whole_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def one_line(ended: Ended, code: int, *, orbax: bool = False) -> list[str]:
    """List what is wrong with a command's end, which should have exit code ``code`` and one line with the reason.

    With ``orbax``, Orbax's own tracebacks about arrays that it could not write may surround that line.
    """
    finds = [] if ended.code == code else [f"exit {ended.code}, not {code}"]
    lines = ended.err.splitlines()
    errors = sum(line.startswith("error: ") for line in lines)
    if errors != 1 or (len(lines) != 1 and not orbax):
        finds.append(f"not one line on stderr but {len(lines)}: {ended.err[-600:]!r}")
    if "Traceback" in ended.out:
        finds.append("a traceback on stdout")
    return finds


def _differing_records(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    finds = []
    keys = [(record["event"], record["step"]) for record in found]
    expected_keys = [(record["event"], record["step"]) for record in expected]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        finds.append(f"metrics.jsonl: twice {twice}")
    if missing := [key for key in expected_keys if key not in keys]:
        finds.append(f"metrics.jsonl: missing {missing}")
    if not finds and found != expected:
        differing = [key for key, a, b in zip(keys, found, expected, strict=False) if a != b]
        finds.append(f"metrics.jsonl: {len(found)} lines for {len(expected)}, differing {differing[:5]}")
    return finds


def _without_times(saved: dict[str, Any]) -> dict[str, Any]:
    told = {**saved, **saved["progress"]}
    return {name: value for name, value in told.items() if name not in ("progress", *_TIMES_IN_PROGRESS)}


def _settings(run: Path) -> dict[str, Any]:
    options = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    return {name: value for name, value in options.items() if name not in _OWN_OPTIONS}
