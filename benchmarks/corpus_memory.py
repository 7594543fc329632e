"""Host memory of reading, encoding and batching a growing corpus: ``python -m benchmarks.corpus_memory``.

A separate process measures each size. It reports two peaks, sampled every 20 ms. *Anonymous* memory belongs to the
process alone (Linux: ``RssAnon`` of ``/proc/self/status``). *Resident* memory (``VmRSS``) adds the pages of mapped
files, libraries included, that are in memory at the moment; the system reclaims them when it needs to. Both must stay
flat. Temporary files take the corpus' size on disk (``TMPDIR``), which therefore must not be a tmpfs.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter, run

from hybridner.cli.output import write_json

_EVERY = 0.02
_CHILD = "import json, sys; from benchmarks.corpus_memory import measure; print(json.dumps(measure(*sys.argv[1:])))"
_FIELDS = {"RssAnon": "anonymous_mib", "VmRSS": "resident_mib"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the peak memory of reading, encoding and one epoch of batches, without a model."""

    data: Path
    """A folder with a train file."""
    copies: tuple[int, ...] = (1, 4, 16)
    """Numbers of copies of the train file."""
    tokenizer: str = "train"
    """A tokenizer as for training."""
    json: Path | None = None
    """Also write the table to this file."""


class PeakMemory:
    """A thread that samples this process' memory: the peaks in MiB since the last phase began."""

    def __init__(self) -> None:
        self.peaks: dict[str, dict[str, float]] = {}
        self._phase = "start"
        threading.Thread(target=self._sample, daemon=True).start()

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self._look()
        self._phase = name
        self._look()

    def _sample(self) -> None:
        while True:
            self._look()
            time.sleep(_EVERY)

    def _look(self) -> None:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        here = self.peaks.setdefault(self._phase, dict.fromkeys(_FIELDS.values(), 0.0))
        for line in status.splitlines():
            name, _, value = line.partition(":")
            if name in _FIELDS:
                here[_FIELDS[name]] = max(here[_FIELDS[name]], int(value.split()[0]) / 1024)


def measure(folder: str, tokenizer_name: str) -> dict[str, Any]:
    """Read, encode, plan and iterate over an epoch; return peaks by phase."""
    memory = PeakMemory()
    from hybridner.batches.batch import training_batches
    from hybridner.batches.encoding import encode
    from hybridner.batches.packing import ShapePlan
    from hybridner.corpora.read import read_corpus
    from hybridner.text.tokenizer import load_tokenizer, train_tokenizer

    memory.phase("read")
    corpus = read_corpus(folder)
    train = corpus.splits["train"]
    memory.phase("tokenizer")
    tokenizer = train_tokenizer(train, 30522) if tokenizer_name == "train" else load_tokenizer(tokenizer_name)
    memory.phase("encode")
    encoded = encode(train, tokenizer, corpus.labels, 1024)
    memory.phase("plan")
    plan = ShapePlan(encoded.lengths, 64)
    memory.phase("epoch")
    batches = pieces = 0
    for batch in training_batches(encoded, plan, batch_size=64, seed=12, epoch=0, pad_token_id=tokenizer.pad_id):
        batches += 1
        pieces += batch.num_pieces
    memory.phase("end")
    peaks = {name: max(phase[name] for phase in memory.peaks.values()) for name in _FIELDS.values()}
    return {"sentences": len(train), "pieces": pieces, "batches": batches, **peaks, "phases": memory.peaks}


def main(options: Options) -> None:
    """Measure each size in a separate process, print the table and write the JSON."""
    train = next(path for path in sorted(options.data.iterdir()) if "train" in path.name.split("."))
    content = train.read_bytes().rstrip() + b"\n\n"
    rows: list[dict[str, Any]] = []
    for copies in options.copies:
        with tempfile.TemporaryDirectory() as folder:
            with (Path(folder) / train.name).open("wb") as file:
                for _ in range(copies):
                    file.write(content)
            (Path(folder) / f"valid{train.suffix}").write_bytes(content[: content.index(b"\n\n", 10_000)])
            done = subprocess.run(
                [sys.executable, "-c", _CHILD, folder, options.tokenizer], check=True, stdout=subprocess.PIPE
            )
        row = {"copies": copies, **json.loads(done.stdout)}
        rows.append(row)
        print(
            f"{copies:4} copies, {row['sentences']:,} sentences: {row['anonymous_mib']:.1f} MiB anonymous, "
            f"{row['resident_mib']:.1f} MiB resident, mapped files included",
            flush=True,
        )
    grown = {name: round(rows[-1][name] / rows[0][name] - 1, 4) for name in _FIELDS.values()}
    print(
        f"grown from {rows[0]['copies']} to {rows[-1]['copies']} copies: {grown['anonymous_mib']:+.1%} anonymous, "
        f"{grown['resident_mib']:+.1%} resident"
    )
    if options.json is not None:
        report = {
            "what": "peak host memory of reading, encoding and one epoch of batches, no model; a process for each size",
            "data": str(train.name),
            "rows": rows,
            "grown": grown,
        }
        write_json(options.json, report)


if __name__ == "__main__":
    run(main)
