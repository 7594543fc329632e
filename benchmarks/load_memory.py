"""Memory of ``hybridner.load``, against the bytes of the weights: ``python -m benchmarks.load_memory``.

The program saves a random model of 21 million parameters, and each backend loads it in a separate process. It counts
resident memory (Linux: ``VmRSS`` and ``VmHWM`` of ``/proc/self/status``) from after the imports. The floor of both,
held and peak, is 1: the weights themselves.
"""

import gc
import importlib
import json
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts

from hybridner.cli.output import write_json
from hybridner.config.model import original_model
from hybridner.model.twins import BACKENDS, Backend
from hybridner.model.weights import initial_weights, num_parameters
from hybridner.saved.folder import save_model
from hybridner.saved.model import SavedModel

CONFIG = original_model(vocab_size=30522, num_labels=9, hidden_size=384, num_heads=6, num_encoder_layers=5)
LABELS = ("O", *(f"{part}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for part in "BI"))
_CHILD = "import json, sys; from benchmarks.load_memory import measure; print(json.dumps(measure(*sys.argv[1:])))"


@cyclopts.Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Measure the memory of a loaded model, and the peak while it loads."""

    json: Path | None = None
    """Also write the table to this file."""


def measure(folder: str, backend: Backend) -> dict[str, float]:
    """Load the model in ``folder`` and return the bytes of resident memory added, held and at the peak."""
    import hybridner

    importlib.import_module(f"hybridner_{backend}.predictor")
    gc.collect()
    with suppress(OSError):  # fails in some containers; the peak then includes the imports
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak to the current size
    before = _status("VmRSS")
    tagger = hybridner.load(folder, backend, device="cpu")
    peak = _status("VmHWM")
    gc.collect()
    held = _status("VmRSS")
    assert tagger.model.config == CONFIG
    return {"held": held - before, "peak": peak - before}


def measure_all() -> dict[str, dict[str, float]]:
    """Measure each backend in a separate process, in multiples of the weights' bytes."""
    weights = 4 * num_parameters(CONFIG)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_model(path, SavedModel(CONFIG, LABELS, None, initial_weights(CONFIG, 1)))
        for backend in BACKENDS:
            command = [sys.executable, "-c", _CHILD, str(path), backend]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            found[backend] = {name: value / weights for name, value in json.loads(done.stdout).items()}
    return found


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main(options: Options = Options()) -> None:
    """Print the table and write the JSON."""
    weights = 4 * num_parameters(CONFIG)
    rows = {"floor": {"held": 1.0, "peak": 1.0}, **measure_all()}
    print(f"{num_parameters(CONFIG):,} parameters, {weights / 2**20:.1f} MiB; memory in multiples of that")
    for name, row in rows.items():
        print(f"{name:8} held {row['held']:5.2f}   peak {row['peak']:5.2f}")
    if options.json is not None:
        report: dict[str, Any] = {
            "what": "memory that hybridner.load adds, in multiples of the weights' bytes",
            "weights_bytes": weights,
            "rows": rows,
        }
        write_json(options.json, report)


if __name__ == "__main__":
    cyclopts.run(main)
