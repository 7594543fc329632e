"""A training run on disk: its options, its metrics, and the folders of its model and checkpoints."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridner.config.file import options_as_dict, read_config
from hybridner.config.options import FIELDS, Options, RunOptions, names_with, options_from
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
        """Identify the run that is here now; one that is begun or resumed later has another identity."""
        try:
            stat = self.config.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in the folder, which is made if need be; the lock ends with the process.

        What a process decided about the folder before it got the lock still applies: the run that it found is there.

        Raises:
            InputError: another process is training here or has done so meanwhile, or the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.lock, timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise InputError(
                f"{self.folder}: another process is training here; wait for it, stop it, or choose another --output"
            ) from None
        except OSError as error:
            raise InputError(f"{self.folder}: the run's folder cannot be written ({error.strerror})") from error
        try:
            if self._identity() != self._found:
                raise InputError(
                    f"{self.folder}: another process has begun or resumed a run here meanwhile; choose another "
                    "--output, or start this one again"
                )
            yield
        finally:
            lock.release()

    def holds_run(self) -> bool:
        """Look for a run in the folder."""
        return self.config.exists()

    def is_free(self) -> bool:
        """Check that the folder is not there or empty, but for files of a run that was stopped as it began."""
        ours = {self.lock, self._partial_config}
        return not self.folder.is_dir() or all(path in ours for path in self.folder.iterdir())

    def create(self, options: Options, backend: Backend) -> None:
        """Remove the run that is here, and write the options of a new one.

        Raises:
            InputError: the folder cannot be written.
        """
        try:
            for old in (self.best, self.checkpoints, self.tensorboard, self.metrics, self.curves, self.tokenizer):
                remove(old)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_options(options, backend)
        except OSError as error:
            raise InputError(f"{self.folder}: the run's folder cannot be written ({error.strerror})") from error

    def write_options(self, options: Options, backend: Backend) -> None:
        """Write ``config.toml``, the run's options; a reader sees the old file or the new one."""
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
            raise InputError(
                f'{self.config}: names no backend; add the one the run was begun with, backend = "flax" or "torch"'
            )
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
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None
                if not _is_record(record):
                    raise InputError(f"{self.metrics}:{number}: not a line of a run's metrics")
                yield record


def _is_record(record: Any) -> bool:
    """Check that ``record`` has the numbers that are read from its kind of event."""
    try:
        numbers = [record[name] for name in _NUMBERS.get(record["event"], ())]
        scores = [record["valid"]] if record["event"] in ("epoch", "test") else []
        if record["event"] == "test" and record["test"] is not None:
            scores.append(record["test"])
        numbers += [score["f1"] for score in scores]
    except (KeyError, TypeError):
        return False
    return isinstance(record["event"], str) and all(isinstance(number, int | float) for number in numbers)


def choose_folder(options: Options, backend: Backend) -> RunDir:
    """Choose the run's folder: the one that was named, or the next free default.

    Raises:
        InputError: the named folder contains a run, and neither ``resume`` nor ``overwrite`` was given; or it contains
            something else; or a link in it leads out of it.
    """
    run = _default_folder(options, backend) if options.run.output is None else _named_folder(options.run)
    if run.holds_run():
        check_links(run.folder)
    return run


def _named_folder(options: RunOptions) -> RunDir:
    assert options.output is not None
    run = RunDir(options.output)
    if run.folder.exists() and not run.folder.is_dir():
        raise InputError(f"{run.folder}: a file, but a run needs a folder; choose another --output")
    if run.holds_run() and not (options.resume or options.overwrite):
        raise InputError(
            f"{run.folder}: already contains a run; resume it with --resume, or replace it with --overwrite"
        )
    if not run.holds_run() and not run.is_free():
        raise InputError(f"{run.folder}: not empty and not a run; choose another --output")
    return run


def _default_folder(options: Options, backend: Backend) -> RunDir:
    """Return the first default folder that is free, or the last taken one to resume or overwrite."""
    base = Path("runs") / f"{Path(options.data.data).resolve().name}-{options.model.preset}-{backend}"
    run, number = RunDir(base), 2
    while run.folder.exists():
        following = RunDir(base.with_name(f"{base.name}-{number}"))
        if (options.run.resume or options.run.overwrite) and not following.folder.exists():
            break
        run, number = following, number + 1
    return run


def merge_resumed(run: RunDir, given: Options, explicit: set[str]) -> tuple[Options, list[str]]:
    """Merge the options of a resumed run: the folder's, changed only where that cannot alter results.

    Args:
        run: the run to resume.
        given: options of this call.
        explicit: names of the options the user typed.

    Returns:
        The options, and sentences for the user about what is no longer bitwise the same.

    Raises:
        InputError: an option that alters results was given another value.
    """
    saved, new = run.read_options()[0].flat(), given.flat()
    changes: dict[str, Any] = {name: new[name] for name in names_with("not kept")}
    notes = []
    for name in sorted(explicit - changes.keys()):
        if new[name] == saved[name]:
            continue
        match FIELDS[name].metadata.get("on_resume"):
            case "may grow" if new[name] is None or (saved[name] is not None and new[name] > saved[name]):
                pass
            case "may change":
                pass
            case "changes rounding":
                notes.append(
                    f"{name} was {saved[name]}, now {new[name]}: numbers agree up to rounding, no longer bit for bit"
                )
            case _:
                raise InputError(
                    f"{run.folder}: --{name.replace('_', '-')} was {saved[name]} in this run and cannot become "
                    f"{new[name]} on --resume; leave it out, or start a new run"
                )
        changes[name] = new[name]
    return options_from({**saved, **changes}), notes
