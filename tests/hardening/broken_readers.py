"""Deliberately broken readers for the fuzzer to find."""

import os
import sys
import time
from pathlib import Path

from hardening.fuzz.cases import Case, Reader
from hybridner.errors import InputError

WHOLE = b"whole\n"


def raises(folder: Path) -> object:
    return {WHOLE: "whole"}[(folder / "file.txt").read_bytes()]


def hangs(folder: Path) -> object:
    while _damaged(folder):
        time.sleep(0.01)
    return None


def eats_memory(folder: Path) -> object:
    return len(bytearray(b"x") * 300_000_000) if _damaged(folder) else 0


def asks_for_memory(folder: Path) -> object:
    return len(bytearray(10**11)) if _damaged(folder) else 0


def dies(folder: Path) -> object:
    if _damaged(folder):
        os.abort()
    return None


def prints_a_traceback(folder: Path) -> object:
    if _damaged(folder):
        print("Traceback (most recent call last):\n  File somewhere", file=sys.stderr)
    return None


def writes_lines(folder: Path) -> object:
    if _damaged(folder):
        error = InputError("the first line")
        error.args = ("the first line\nthe second line",)
        raise error
    return None


def refuses(folder: Path) -> object:
    if _damaged(folder):
        raise InputError(f"{folder}: damaged")
    return None


def reader(function) -> Reader:
    return Reader(function.__name__, {"broken": function}, seeds)


def seeds(_: Path) -> list[Case]:
    return [Case("broken", {"file.txt": WHOLE})]


def _damaged(folder: Path) -> bool:
    return (folder / "file.txt").read_bytes() != WHOLE
