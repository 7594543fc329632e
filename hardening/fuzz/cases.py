"""Readers as the fuzzer sees them, cases, and their outcomes."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

Files = dict[str, bytes]
ACCEPTED, REFUSED = "accepted", "refused"
TRACEBACK, MESSAGE, NOISE, MEMORY, HANG, CRASH = "traceback", "message", "noise", "memory", "hang", "crash"
FINDS = {
    TRACEBACK: "an exception other than InputError",
    MESSAGE: "an InputError whose message is no line, or longer than one can read",
    NOISE: "a library wrote a traceback to the standard error",
    MEMORY: "more memory than the bound",
    HANG: "no answer within the time of a case",
    CRASH: "the process ended",
}


@dataclass(frozen=True, slots=True)
class Case:
    """Files of one input, by their names relative to its folder, and the kind of function that reads them."""

    kind: str
    files: Files

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(map(len, self.files.values()))

    def name(self) -> str:
        """Return the kind and a hash of the content."""
        digest = hashlib.blake2b(digest_size=4)
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return f"{self.kind}-{digest.hexdigest()}"

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``, which does not exist yet."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def read_case(kind: str, folder: Path) -> Case:
    """Read the case that :meth:`Case.write` wrote into ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Case(kind, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


@dataclass(frozen=True, slots=True)
class Reader:
    """Functions to fuzz together.

    Attributes:
        name: in the command.
        kinds: functions that read the folder of a case, by kind.
        seeds: makes intact cases of these kinds, given an empty folder.
        finish: corrects a file's checksums of other files after a mutation, by kind.
    """

    name: str
    kinds: dict[str, Callable[[Path], object]]
    seeds: Callable[[Path], Iterable[Case]]
    finish: dict[str, Callable[[Files, Random], Files]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a case.

    Attributes:
        seconds: wall-clock time.
        memory_mib: growth of the resident memory.
        address_mib: growth of the address space over the process' whole life, which the system enforces.
    """

    seconds: float = 10.0
    memory_mib: int = 1024
    address_mib: int = 4096


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case.

    Attributes:
        result: ``ACCEPTED``, ``REFUSED`` or one of ``FINDS``.
        sign: distinguishes outcomes of one result: the words of a message, the place of an exception.
        report: the message or traceback.
        seconds: of reading.
        memory_mib: the largest growth of the resident memory.
    """

    result: str
    sign: str
    report: str = ""
    seconds: float = 0.0
    memory_mib: float = 0.0

    @property
    def is_find(self) -> bool:
        """True if there is a bug to fix."""
        return self.result in FINDS

    @property
    def key(self) -> tuple[str, str]:
        """Key that equal outcomes share."""
        return self.result, self.sign
