"""The values that some options are limited to."""

from typing import Literal

Dtype = Literal["float32", "bfloat16", "float64"]


Device = Literal[
    "auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7", "tpu", "mps"
]


Parallel = Literal["auto", "jit", "pmap", "mesh"]


Schedule = Literal["constant", "linear", "cosine"]


PresetName = Literal["tiny", "base", "original"]


Input = Literal["pieces", "words"]


LSTMChoice = Literal["none", "forward", "bidirectional"]


Head = Literal["softmax", "crf"]


Decayed = Literal["all", "matrices"]


Misaligned = Literal["error", "drop"]


OnNonfinite = Literal["stop", "skip"]
