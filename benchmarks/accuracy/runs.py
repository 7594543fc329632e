"""Runs of the systems, each in a process of its own, and the file that keeps their scores."""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.accuracy.data import Parts, first_sentences, read_parts
from benchmarks.accuracy.ours import Preset
from benchmarks.accuracy.peers import Crf, Spacy
from benchmarks.accuracy.systems import System
from hybridner.config.presets import PRESETS
from hybridner.corpora.corpus import Sentence
from hybridner.errors import InputError
from hybridner.evaluation.analysis import Mention, analyse, mentions
from hybridner.evaluation.bootstrap import entity_counts, interval_of_counts, resampling_units
from hybridner.evaluation.scoring import score
from hybridner.model.twins import Backend

PEERS: dict[str, Callable[[], System]] = {"crf": Crf, "spacy": Spacy}
Record = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One training: a system by its typed name, on ``size`` sentences (None: all) of the train split.

    Attributes:
        split_seed: seed of the split of a single file; None for a corpus that has splits.
        seed: seed of the choice of ``size`` sentences and of the training.
    """

    system: str
    backend: Backend
    data: str
    split_seed: int | None
    size: int | None
    seed: int


def make_system(name: str, backend: Backend) -> System:
    """Make a system by the name that users type.

    Raises:
        InputError: there is none of that name, an option of it is wrong, or its package is not installed.
    """
    if name in PEERS:
        return PEERS[name]()
    if name.partition("+")[0] not in PRESETS:
        raise InputError(f"no system {name!r}; there are {', '.join([*PRESETS, *PEERS])}, and PRESET+OPTION=VALUE")
    return Preset(name, backend)


def measure(system: System, parts: Parts, size: int | None, seed: int) -> Record:
    """Train a system and score it on dev and test."""
    train = first_sentences(parts.train, size, seed)
    begun = time.perf_counter()
    trained = system.train(train, parts.dev, seed)
    seconds = time.perf_counter() - begun
    seen = mentions(train)
    return {
        "sentences": len(train),
        "dev": _scores(trained.predict(parts.dev), parts.dev, seen),
        "test": _scores(trained.predict(parts.test), parts.test, seen),
        "seconds": round(seconds, 2),
        "parameters": trained.parameters,
        "chosen": trained.chosen,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _scores(tags: list[list[str]], sentences: Sequence[Sentence], seen: frozenset[Mention]) -> Record:
    """Score as ``hybridner evaluate`` does; "counts" has the correct, predicted and gold entities of each unit."""
    gold = [sentence.tags or () for sentence in sentences]
    units = resampling_units(len(gold), [sentence.document for sentence in sentences])
    counts = entity_counts(gold, tags, units)
    return {
        **score(gold, tags).to_dict(),
        "f1_interval": list(interval_of_counts(counts)),
        "seen": analyse(sentences, tags, seen).to_dict()["seen"],
        "bootstrap": units.to_dict(),
        "counts": counts.tolist(),
    }


def in_a_process(job: Job, log: Path) -> Record:
    """Measure in a fresh process, whose output is added to the file ``log``.

    It finds no compiled programs of earlier runs, so its seconds contain compiling.

    Raises:
        InputError: the system refuses the data, or the process was killed.
    """
    context = get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as cache,
        ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(log, cache)) as pool,
    ):
        try:
            return pool.submit(_run, job).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"the process of {job.system} was killed, perhaps because memory ran out; {log} contains its output; "
                "the same command resumes after the finished runs"
            ) from error


def _run(job: Job) -> Record:
    return measure(make_system(job.system, job.backend), read_parts(job.data, job.split_seed), job.size, job.seed)


def _begin(log: Path, cache: str) -> None:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


class Results:
    """Records of finished runs in a file of JSON lines; each is on disk before the next run begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_bytes() if path.exists() else b""
        whole = text.rfind(b"\n") + 1
        if whole < len(text):  # a process was killed as it wrote its last line
            with path.open("r+b") as file:
                file.truncate(whole)
        self.records: list[Record] = [json.loads(line) for line in text[:whole].splitlines()]

    def find(self, key: Record) -> Record | None:
        """Return the record with all values of ``key``, or None."""
        return next((one for one in self.records if key.items() <= one.items()), None)

    def add(self, record: Record) -> None:
        """Write a record to the disk."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.records.append(record)


@dataclass(frozen=True)
class Plan:
    """All trainings of a report.

    Attributes:
        systems: systems by the name that the user typed.
        parts: data by the seed of their split.
        sizes: numbers of train sentences; None means all.
    """

    systems: dict[str, System]
    backend: Backend
    data: str
    parts: dict[int | None, Parts]
    sizes: Sequence[int | None]
    seeds: Sequence[int]

    def jobs(self) -> Iterator[tuple[Job, Record]]:
        """List the trainings, all systems of a size, split and seed together, each with what identifies its record.

        A system without a seed learns the same from all sentences each time, so it trains on them once.
        """
        for size in self.sizes:
            for split_seed, parts in self.parts.items():
                for seed in self.seeds:
                    for name, system in self.systems.items():
                        if system.is_seeded or size is not None or seed == self.seeds[0]:
                            job = Job(name, self.backend, self.data, split_seed, size, seed)
                            key: Record = {"system": system.name, "versions": system.versions, "data": parts.name}
                            key |= {"split_seed": split_seed, "size": size, "seed": seed, "digest": parts.digest}
                            yield job, key


def finish(plan: Plan, results: Results, run: Callable[[Job], Record]) -> list[Record]:
    """Run what ``results`` lacks, print a line for each, and return the records of the plan in its order."""
    records = []
    for job, key in plan.jobs():
        record = results.find(key)
        if record is None:
            record = {**key, **run(job)}
            results.add(record)
            print(line(record), flush=True)
        records.append(record)
    return records


def line(record: Record) -> str:
    """Write the result of one training for people."""
    split = "" if record["split_seed"] is None else f", split {record['split_seed']}"
    return (
        f"{record['system']}, {record['sentences']:,} sentences{split}, seed {record['seed']}: "
        f"dev F1 {record['dev']['f1']:.4f}, test F1 {record['test']['f1']:.4f}, {record['seconds']:,.0f} s"
    )
