"""A training run on disk: its options, its metrics, and the folders of its model and checkpoints."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from hybridner.config.file import options_as_dict, read_config
from hybridner.config.options import FIELDS, Options, names_with, options_from
from hybridner.errors import InputError
from hybridner.files.paths import check_links, remove
from hybridner.model.twins import Backend

_NUMBERS = {"step": ("step", "loss"), "epoch": ("epoch", "step", "train_loss"), "test": ("epoch", "step")}


class RunDir:
    """Paths of a run: ``config.toml``, ``metrics.jsonl``, ``curves.png``, ``tokenizer.json``, and folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self._partial_config = folder / "config.toml.partial"
        self.metrics = folder / "metrics.jsonl"
        self.curves = folder / "curves.png"
        self.tokenizer = folder / "tokenizer.json"
        self.best = folder / "best"
        self.checkpoints = folder / "checkpoints"
        self.tensorboard = folder / "tensorboard"
        self.lock = folder / ".lock"
        self._found = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        """Identify the run in the folder; starting or resuming a run changes its identity."""
        stat = self.config.stat() if self.config.exists() else None
        return (stat.st_ino, stat.st_mtime_ns) if stat else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if need be, and keep other processes from training there; the lock ends with the process.

        Raises:
            InputError: another process trains here or has started a run since this object was made, or the folder
                cannot be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.lock, timeout=0).acquire()
        except Timeout:
            raise InputError(
                f"{self.folder}: another process is training here; wait for it, stop it, or choose another --output"
            ) from None
        except OSError as error:
            raise self._cannot_write(error) from error
        with lock:
            if self._identity() != self._found:
                raise InputError(
                    f"{self.folder}: another process has begun or resumed a run here meanwhile; choose another "
                    "--output, or start this one again"
                )
            yield

    def holds_run(self) -> bool:
        """Look for a run in the folder."""
        return self.config.exists()

    def is_free(self) -> bool:
        """Check that the folder does not exist or contains at most the files of a run that was killed as it started."""
        ours = {self.lock, self._partial_config}
        return not self.folder.is_dir() or all(path in ours for path in self.folder.iterdir())

    def create(self, options: Options, backend: Backend) -> None:
        """Remove the run in the folder, and write the options of a new one.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            for old in (self.best, self.checkpoints, self.tensorboard, self.metrics, self.curves, self.tokenizer):
                remove(old)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_options(options, backend)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(f"{self.folder}: the run's folder cannot be written ({error.strerror})")

    def write_options(self, options: Options, backend: Backend) -> None:
        """Write the run's options to ``config.toml``; a reader sees the old file or the new one."""
        import tomli_w

        text = tomli_w.dumps({"backend": backend, **options_as_dict(options)})
        self._partial_config.write_text(text, encoding="utf-8")
        self._partial_config.replace(self.config)
        self._found = self._identity()

    def read_options(self) -> tuple[Options, str]:
        """Read the run's options and backend from ``config.toml``.

        Raises:
            InputError: it cannot be read.
        """
        options, _, backend = read_config(self.config)
        if backend is None:
            raise InputError(f'{self.config}: names no backend; add the one that started the run: backend = "flax"')
        return options, backend

    def results(self) -> list[tuple[str, str]]:
        """List the results of a finished run and how to use them."""
        paths = [("model", self.best), ("curves", self.curves), ("metrics", self.metrics)]
        use = f"hybridner predict {shlex.quote(str(self.folder))} 'A sentence with names.'"
        return [*((name, str(path)) for name, path in paths if path.exists()), ("use", use)]

    def resume_command(self, backend: Backend) -> str:
        """Return the command that resumes the run."""
        return f"python train_{backend}.py --output {shlex.quote(str(self.folder))} --resume"

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with self.metrics.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """Read the complete lines of ``metrics.jsonl``.

        Raises:
            InputError: a line is not JSON, or not a record of a run.
        """
        if not self.metrics.exists():
            return
        with self.metrics.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                record = _parse_record(line)
                if record is None:
                    raise InputError(f"{self.metrics}:{number}: not a line of a run's metrics")
                yield record


def _parse_record(line: bytes) -> dict[str, Any] | None:
    """Parse ``line``, or return None if it lacks a number that we read from its kind of event."""
    try:
        record: dict[str, Any] = json.loads(line)
        event = record["event"]
        numbers = [record[name] for name in _NUMBERS.get(event, ())]
        if event in ("epoch", "test"):
            numbers.append(record["valid"]["f1"])
        if event == "test" and record["test"] is not None:
            numbers.append(record["test"]["f1"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return record if isinstance(event, str) and all(isinstance(number, int | float) for number in numbers) else None


def choose_folder(options: Options, backend: Backend) -> RunDir:
    """Choose the run's folder: the one that ``options`` name, or the next free default.

    Raises:
        InputError: the named folder contains a run, and neither ``resume`` nor ``overwrite`` was given; or it contains
            something else; or a link in it leads out of it.
    """
    again = options.run.resume or options.run.overwrite
    if options.run.output is None:
        run = RunDir(_default_folder(options, backend, again))
    else:
        run = RunDir(options.run.output)
        if run.folder.exists() and not run.folder.is_dir():
            raise InputError(f"{run.folder}: a file, but a run needs a folder; choose another --output")
        if run.holds_run() and not again:
            raise InputError(
                f"{run.folder}: already contains a run; resume it with --resume, or replace it with --overwrite"
            )
        if not run.holds_run() and not run.is_free():
            raise InputError(f"{run.folder}: not empty and not a run; choose another --output")
    if run.holds_run():
        check_links(run.folder)
    return run


def _default_folder(options: Options, backend: Backend, again: bool) -> Path:
    """Return the first default folder that is free, or, to run ``again``, the last that is taken."""
    base = Path("runs") / f"{Path(options.data.data).resolve().name}-{options.model.preset}-{backend}"
    folders = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in count(1))
    return next(one for one, after in pairwise(folders) if not one.exists() or (again and not after.exists()))


def merge_resumed(run: RunDir, given: Options, explicit: set[str]) -> tuple[Options, list[str]]:
    """Merge the options of a resumed run with those ``given`` in this call, of which the user typed ``explicit``.

    Returns:
        The options, and sentences for the user about numbers that are no longer bitwise the same.

    Raises:
        InputError: an option that alters results was given another value.
    """
    saved, new = run.read_options()[0].flat(), given.flat()
    changes: dict[str, Any] = {name: new[name] for name in names_with("not kept")}
    notes = []
    for name in sorted(explicit - changes.keys()):
        old, value = saved[name], new[name]
        if value == old:
            continue
        rule = FIELDS[name].metadata.get("on_resume")
        grows = rule == "may grow" and (value is None or (old is not None and value > old))
        if rule == "changes rounding":
            notes.append(f"{name} was {old}, now {value}: numbers agree up to rounding, no longer bit for bit")
        elif rule != "may change" and not grows:
            raise InputError(
                f"{run.folder}: --{name.replace('_', '-')} was {old} in this run and cannot become "
                f"{value} on --resume; leave it out, or start a new run"
            )
        changes[name] = value
    return options_from({**saved, **changes}), notes
