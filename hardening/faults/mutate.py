"""``mutate``: changed checkpoints are refused, or the one before them is used."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hardening.faults.bench import Bench, Row
from hybridner.errors import InputError
from hybridner.runs.checkpoints import open_checkpoints

_STATES = 3


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _flip(folder: Path, rng: random.Random) -> None:
    path = rng.choice([path for path in _files(folder) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 20))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(folder: Path, rng: random.Random) -> None:
    path = rng.choice([path for path in _files(folder) if path.stat().st_size])
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def _empty(folder: Path, rng: random.Random) -> None:
    rng.choice(_files(folder)).write_bytes(b"")


def _append(folder: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 100)))


def _zero_a_block(folder: Path, rng: random.Random) -> None:
    path = rng.choice([path for path in _files(folder) if path.stat().st_size])
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + 4096] = bytes(len(content[start : start + 4096]))
    path.write_bytes(content)


def _change_a_number(folder: Path, rng: random.Random) -> None:
    path = rng.choice([path for path in _files(folder) if path.suffix == ".json"])
    text = path.read_text(encoding="utf-8")
    at = rng.choice([i for i, letter in enumerate(text) if letter.isdecimal()])
    path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :], encoding="utf-8")


def _swap_files(folder: Path, rng: random.Random) -> None:
    a, b = rng.sample(_folders(folder), 2)
    names = [name for name in (path.relative_to(a) for path in _files(a)) if (b / name).is_file()]
    for name in rng.sample(names, rng.randint(1, len(names))):
        first, second = (a / name).read_bytes(), (b / name).read_bytes()
        (a / name).write_bytes(second)
        (b / name).write_bytes(first)


def _swap_folders(folder: Path, rng: random.Random) -> None:
    a, b = rng.sample(_folders(folder), 2)
    a.rename(folder / "aside")
    b.rename(a)
    (folder / "aside").rename(b)


def _rename(folder: Path, rng: random.Random) -> None:
    path = rng.choice(_folders(folder))
    name = path.name
    others = ("7", "999", "0" + name, "-" + name, name + ".partial", name + ".old", "x", " " + name, "٣", "9" * 30)
    path.rename(folder / rng.choice(others))


def _copy(folder: Path, rng: random.Random) -> None:
    path = rng.choice(_folders(folder))
    shutil.copytree(path, folder / rng.choice(("1000", path.name + ".partial", path.name + ".old", "1000.old")))


def _remove(folder: Path, rng: random.Random) -> None:
    path = rng.choice([*_files(folder), *(path for path in folder.rglob("*") if path.is_dir())])
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _add_junk(folder: Path, rng: random.Random) -> None:
    where = rng.choice([folder, *(path for path in folder.rglob("*") if path.is_dir())])
    name = rng.choice(("junk", ".hidden", "2000", "2000.partial", "3000.old", "state.safetensors~", "checksums.json"))
    path = where / name
    if path.exists():
        return _append(folder, rng)
    if rng.random() < 0.3:
        path.mkdir()
    else:
        path.write_bytes(rng.randbytes(rng.choice((0, 10, 5000))))
    return None


def _folder_for_a_file(folder: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    path.unlink()
    path.mkdir()


def _link_for_a_file(folder: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    aside = folder.parent / f"{folder.name}-linked"
    path.rename(aside)
    path.symlink_to(rng.choice((aside, folder / "nowhere", path)))


MUTATIONS: tuple[Callable[[Path, random.Random], None], ...] = (
    _flip, _cut, _empty, _append, _zero_a_block, _change_a_number, _swap_files, _swap_folders, _rename, _copy, _remove,
    _add_junk, _folder_for_a_file, _link_for_a_file,
)  # fmt: skip


def mutate(bench: Bench, times: int, seed: int) -> Row:
    """Change a real run's checkpoints at random; read them once without changes and once as a run does."""
    row, rng = Row("mutate", bench.backend), random.Random(seed)
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    newest = sorted(int(path.name) for path in (bench.whole / "checkpoints").iterdir())[-_STATES:]
    for number in range(times):
        folder = bench.scratch / f"mutate-{bench.backend}" / str(number)
        for step in newest[-rng.randint(1, _STATES) :]:
            shutil.copytree(bench.whole / "checkpoints" / str(step), folder / str(step))
        done = _changed(folder, rng)
        kinds.update(done)
        said = [_read(bench, folder, read_only=read_only) for read_only in (True, False)]
        outcomes[said[0][0]] += 1
        finds = said[0][1] + said[1][1]
        if said[0][0] != said[1][0]:
            finds.append(f"reading only: {said[0][0]}, in a run: {said[1][0]}")
        row.add([f"mutation {number} ({', '.join(done)}): {find}" for find in finds])
        shutil.rmtree(folder)
    row.told = {"states": newest, "outcomes": dict(sorted(outcomes.items())), "mutations": dict(sorted(kinds.items()))}
    return row


def _changed(folder: Path, rng: random.Random) -> list[str]:
    """Change the states in ``folder`` once or a few times and return the kinds of change."""
    done: list[str] = []
    changes = rng.choice((1, 1, 1, 2, 4))
    while not done:
        for mutation in rng.choices(MUTATIONS, k=changes):
            # This kind of change may be impossible: no second state, or nothing left at all.
            with suppress(IndexError, ValueError, OSError):
                mutation(folder, rng)
                done.append(mutation.__name__.strip("_"))
    return done


def _read(bench: Bench, folder: Path, *, read_only: bool) -> tuple[str, list[str]]:
    """Read changed checkpoints; return the outcome and what is wrong with it."""
    store = None
    try:
        store = open_checkpoints(bench.backend, folder, read_only=read_only)
        restored = store.restore()
    except InputError as error:
        return "refused", [] if "\n" not in str(error) else [f"more than one line: {error}"]
    except Exception as error:
        return type(error).__name__, [f"{type(error).__name__}: {error}"]
    finally:
        if store is not None:
            store.close()
    return f"step {restored.state.step} restored", bench.unlike_saved(restored)
