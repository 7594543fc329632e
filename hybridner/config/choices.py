"""The words an option may be set to."""

from typing import Literal

Dtype = Literal["float32", "bfloat16", "float64"]


Device = Literal["auto", "cpu", "cuda", "tpu", "mps"]


Parallel = Literal["auto", "jit", "pmap", "mesh"]


Schedule = Literal["constant", "linear", "cosine"]


PresetName = Literal["tiny", "original"]


Misaligned = Literal["error", "drop"]


OnNonfinite = Literal["stop", "skip"]
