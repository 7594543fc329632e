"""Fuzzing of one reader: mutates intact files, case after case, and keeps the finds."""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from hardening.fuzz.cases import ACCEPTED, CRASH, FINDS, HANG, MEMORY, REFUSED, Case, Limits, Outcome, Reader
from hardening.fuzz.mutations import mutate
from hardening.fuzz.process import ReadingProcess

_LARGEST_IN_POOL = 200_000  # bytes
_CUTS, _CUTS_IF_SLOW = 400, {HANG: 2, MEMORY: 20, CRASH: 50}
_SECONDS_FOR_CUTS = 60.0


@dataclass(slots=True)
class Find:
    """A bug to fix.

    Attributes:
        case: the smallest case that shows it.
        outcome: of that case.
        count: number of cases with this outcome.
    """

    case: Case
    outcome: Outcome
    count: int = 1


@dataclass(slots=True)
class Campaign:
    """The findings for one reader."""

    reader: str
    cases: int = 0
    results: Counter[str] = field(default_factory=Counter)
    outcomes: set[tuple[str, str, str]] = field(default_factory=set)
    finds: dict[tuple[str, str], Find] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: tuple[float, str] = (0.0, "")
    memory: tuple[float, str] = (0.0, "")

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and the finds as plain values."""
        return {
            "reader": self.reader,
            "seconds": round(self.seconds, 1),
            "cases": self.cases,
            "accepted": self.results[ACCEPTED],
            "refused": self.results[REFUSED],
            **{name: self.results[name] for name in FINDS},
            "distinct_outcomes": len(self.outcomes),
            "slowest_case_seconds": round(self.slowest[0], 3),
            "most_memory_mib": round(self.memory[0], 1),
            "finds": [
                {
                    "result": find.outcome.result,
                    "sign": find.outcome.sign,
                    "count": find.count,
                    "case": find.case.name(),
                }
                for find in self.finds.values()
            ],
        }


def fuzz(
    reader: Reader,
    seed: int,
    goes_on: Callable[[Campaign], bool],
    finds: Path,
    limits: Limits = Limits(),  # noqa: B008 - it is frozen
) -> Campaign:
    """Fuzz a reader.

    The cases are a function of ``seed`` as long as the outcomes of the cases before them are.

    Args:
        reader: to fuzz.
        seed: decides the mutations.
        goes_on: called before each case; false ends the campaign.
        finds: receives a folder for each find, with its files and its report.
        limits: of a case.

    Raises:
        RuntimeError: the reader cannot read an intact file.
    """
    rng = Random(f"{reader.name} {seed}")
    with tempfile.TemporaryDirectory(prefix="hybridner-fuzz-") as scratch:
        folder = Path(scratch)
        (folder / "writing").mkdir()
        seeds = list(reader.seeds(folder / "writing"))
        whole = []
        for number, case in enumerate(seeds):
            case.write(folder / f"whole-{number}")
            whole.append((case.kind, folder / f"whole-{number}"))
        process = ReadingProcess(reader.kinds, whole, limits, folder / "temporary")
        try:
            return _run(reader, seeds, rng, goes_on, finds, process, folder / "case")
        finally:
            process.stop()


def _run(
    reader: Reader,
    seeds: list[Case],
    rng: Random,
    goes_on: Callable[[Campaign], bool],
    finds: Path,
    process: ReadingProcess,
    folder: Path,
) -> Campaign:
    campaign = Campaign(reader.name)
    accepted = {kind: [case for case in seeds if case.kind == kind] for kind in reader.kinds}
    refused: dict[str, list[Case]] = {kind: [] for kind in reader.kinds}
    kinds = [kind for kind, cases in accepted.items() if cases]
    begun = time.perf_counter()

    def read(case: Case) -> Outcome:
        shutil.rmtree(folder, ignore_errors=True)
        case.write(folder)
        return process.read(case.kind, folder)

    while goes_on(campaign):
        kind = rng.choice(kinds)
        # A refused case gets few chances, because it seldom gets beyond its first mistake.
        pool = refused[kind] if refused[kind] and rng.random() < 0.25 else accepted[kind]
        case = mutate(rng.choice(pool), rng, accepted[kind])
        if kind in reader.finish:
            case = Case(kind, reader.finish[kind](case.files, rng))
        outcome = read(case)
        campaign.cases += 1
        campaign.results[outcome.result] += 1
        campaign.seconds = time.perf_counter() - begun
        campaign.slowest = max(campaign.slowest, (outcome.seconds, case.name()))
        campaign.memory = max(campaign.memory, (outcome.memory_mib, case.name()))
        if outcome.key in campaign.finds:
            campaign.finds[outcome.key].count += 1
        elif outcome.is_find:
            find = Find(*_smallest(case, outcome, read))
            campaign.finds[outcome.key] = find
            _save(find, finds / reader.name)
        elif (kind, *outcome.key) not in campaign.outcomes and case.size <= _LARGEST_IN_POOL:
            (accepted if outcome.result == ACCEPTED else refused)[kind].append(case)
        campaign.outcomes.add((kind, *outcome.key))
    return campaign


def _save(find: Find, folder: Path) -> None:
    place = folder / find.case.name()
    shutil.rmtree(place, ignore_errors=True)
    find.case.write(place)
    report = {"result": find.outcome.result, "sign": find.outcome.sign, "report": find.outcome.report}
    place.with_name(f"{place.name}.report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _smallest(case: Case, outcome: Outcome, read: Callable[[Case], Outcome]) -> tuple[Case, Outcome]:
    """Leave out files and ranges of bytes, large ones first, as long as the outcome stays."""
    tries = _CUTS_IF_SLOW.get(outcome.result, _CUTS)
    deadline = time.perf_counter() + _SECONDS_FOR_CUTS

    def stays(smaller: Case) -> bool:
        nonlocal tries, case, outcome
        tries -= 1
        found = read(smaller)
        if found.key == outcome.key:
            case, outcome = smaller, found
            return True
        return False

    def may_try() -> bool:
        return tries > 0 and time.perf_counter() < deadline

    for name in sorted(case.files):
        if len(case.files) > 1 and may_try():
            stays(Case(case.kind, {other: content for other, content in case.files.items() if other != name}))
    for name in sorted(case.files):
        size = len(case.files[name])
        while size >= 1 and may_try():
            start = 0
            while start < len(case.files[name]) and may_try():
                content = case.files[name]
                cut = content[:start] + content[start + size :]
                if not stays(Case(case.kind, {**case.files, name: cut})):
                    start += size
            size //= 2
    return case, outcome
