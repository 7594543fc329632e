"""``disk-full``: a full disk ends a run in one line; with free space, the run resumes as if undisturbed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardening.faults.bench import Bench, Row, one_line
from hardening.faults.inside import PLACES

_ROOM, _MORE = "16m", "64m"
_STATES_THAT_FIT = (0.5, 1.5, 2.5, 3.5)
_NUMBERS = {"create": 1, "tokenizer": 1, "checkpoint": 4, "best": 1, "metrics": 4, "tensorboard": 2, "curves": 2}


class NoDisk(Exception):  # noqa: N818 - not an error
    """The machine cannot mount a file system in memory."""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of ``size`` in memory at ``folder`` while the block runs.

    Raises:
        NoDisk: the mount fails.
    """
    folder.mkdir(parents=True)
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoDisk(f"no file system can be mounted: {getattr(error, 'stderr', '') or error}".strip()) from error
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def disk_full(bench: Bench, times: int, seed: int) -> Row:
    """Fill the disk at each place that writes, and train on disks with room for a limited number of states."""
    row = Row("disk-full", bench.backend)
    said: dict[str, str] = {}
    try:
        for place in list(PLACES)[:times]:
            with small_disk(bench.scratch / f"full-{bench.backend}-{place}", _ROOM) as disk:
                harm = {"do": "fill", "in": place, "number": _NUMBERS[place], "filler": str(disk / "filler")}
                ended = bench.wait(bench.start(disk / "run", harm))
                said[f"full before {place}"] = bench.said(ended)
                finds = [*one_line(ended, 2, orbax=bench.backend == "flax"), *_readable(bench, disk / "run")]
                (disk / "filler").unlink()
                row.add([f"full before {place}: {find}" for find in (*finds, *bench.to_end(disk / "run"))])
        for states in _STATES_THAT_FIT[:times]:
            size = int(states * _bytes(bench.whole / "checkpoints" / str(bench.steps)))
            with small_disk(bench.scratch / f"full-{bench.backend}-{states}", str(size)) as disk:
                ended = bench.wait(bench.start(disk / "run"))
                said[f"{size:,} bytes"] = bench.said(ended)
                finds = [*one_line(ended, 2, orbax=bench.backend == "flax"), *_readable(bench, disk / "run")]
                subprocess.run(["mount", "-o", f"remount,size={_MORE}", disk], check=True)
                row.add([f"disk of {size:,} bytes: {find}" for find in (*finds, *bench.to_end(disk / "run"))])
    except NoDisk as error:
        row.skipped = str(error)
    row.told = {"said": said}
    return row


def _readable(bench: Bench, run: Path) -> list[str]:
    """List what is wrong with the existing checkpoints."""
    with bench.store(run) as store:
        if store.latest_step() is None:
            return []
        restored = store.restore()
    return [*restored.notes, *bench.unlike_saved(restored)]


def _bytes(folder: Path) -> int:
    """Return the bytes of the files in a folder, in whole pages."""
    page = os.sysconf("SC_PAGESIZE")
    return sum(-(-path.stat().st_size // page) * page for path in folder.rglob("*") if path.is_file())
