"""What a training run is on disk: its options, its metrics and the folders of its models and checkpoints."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridner.config.file import options_as_dict, read_config
from hybridner.config.options import FIELDS, Options, names_with, options_from
from hybridner.config.presets import make_options
from hybridner.errors import InputError
from hybridner.files.paths import check_links, remove
from hybridner.model.twins import Backend


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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder, which is made if need be; the lock ends with the process at the latest.

        Raises:
            InputError: another run is at work here, or the folder cannot be written.
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
            yield
        finally:
            lock.release()

    def holds_run(self) -> bool:
        """Whether a run was begun here."""
        return self.config.exists()

    def is_free(self) -> bool:
        """Whether nothing is in the folder but what a run leaves that was stopped while it began."""
        ours = {self.lock, self._partial_config}
        return not self.folder.is_dir() or all(path in ours for path in self.folder.iterdir())

    def create(self, options: Options, backend: Backend) -> None:
        """Make the folder anew and write the options that repeat the run.

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
        """Write ``config.toml``, the options that repeat the run; a reader sees the old file or the new one."""
        import tomli_w

        text = tomli_w.dumps({"backend": backend, **options_as_dict(options)})
        self._partial_config.write_text(text, encoding="utf-8")
        self._partial_config.replace(self.config)

    def read_options(self) -> tuple[Options, str]:
        """The run's options and backend, from ``config.toml``.

        Raises:
            InputError: it cannot be read.
        """
        values = read_config(self.config)
        backend = values.pop("backend", None)
        if backend is None:
            raise InputError(f"{self.config}: does not say with which backend the run was begun")
        return make_options(**values), backend

    def contents(self) -> list[tuple[str, str]]:
        """Name what a run holds, and where."""
        named = [("model", self.best), ("metrics", self.metrics), ("curves", self.curves), ("options", self.config)]
        folders = [("TensorBoard", self.tensorboard), ("checkpoints", self.checkpoints)]
        return [(name, str(path)) for name, path in (*named, *folders) if path.exists()]

    def resume_command(self, backend: Backend) -> str:
        """What to type to go on with the run."""
        return f"python train_{backend}.py --output {shlex.quote(str(self.folder))} --resume"

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        with self.metrics.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """The lines of ``metrics.jsonl`` that were written to their end.

        Raises:
            InputError: a line is not a JSON object, or lacks what is read of its kind.
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


def _is_record(record: object) -> bool:
    """Whether what is read of a line's kind stands in it."""
    match record:
        case {"event": "step", "step": int(), "loss": int() | float()}:
            return True
        case {
            "event": "epoch",
            "epoch": int(),
            "step": int(),
            "train_loss": int() | float(),
            "valid": {"f1": int() | float()},
        }:
            return True
        case {
            "event": "test",
            "epoch": int(),
            "step": int(),
            "valid": {"f1": int() | float()},
            "test": None | {"f1": int() | float()},
        }:
            return True
        case {"event": str(kind)}:
            return kind not in ("step", "epoch", "test")
    return False


def choose_folder(options: Options, backend: Backend) -> RunDir:
    """The run's folder: the one that was named, or the next free default.

    Raises:
        InputError: the named one holds a run, and neither ``resume`` nor ``overwrite`` was given; or it holds
            something else; or a link in it leads out of it.
    """
    run = _choose_folder(options, backend)
    if run.holds_run():
        check_links(run.folder)
    return run


def _choose_folder(options: Options, backend: Backend) -> RunDir:
    if options.run.output is not None:
        run = RunDir(options.run.output)
        if run.folder.exists() and not run.folder.is_dir():
            raise InputError(f"{run.folder}: a file stands where the run's folder should be; choose another --output")
        if run.holds_run() and not (options.run.resume or options.run.overwrite):
            raise InputError(f"{run.folder}: already holds a run; go on with --resume, or replace it with --overwrite")
        if not run.holds_run() and not run.is_free():
            raise InputError(f"{run.folder}: not empty and not a run; choose another --output")
        return run
    base = Path("runs") / f"{Path(options.data.data).resolve().name}-{options.model.preset}-{backend}"
    taken = [base] + [base.with_name(f"{base.name}-{n}") for n in range(2, 10_000)]
    free = next(i for i, folder in enumerate(taken) if not folder.exists())
    if options.run.resume or options.run.overwrite:  # the newest that is there
        return RunDir(taken[max(0, free - 1)])
    return RunDir(taken[free])


def merge_resumed(run: RunDir, given: Options, explicit: set[str]) -> tuple[Options, list[str]]:
    """Options of a resumed run: the folder's, changed only where that cannot alter results.

    Args:
        run: the run that goes on.
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
