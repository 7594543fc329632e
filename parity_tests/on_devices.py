"""A backend's results for the same batches on its devices or processes, from a separate process.

``python -m parity_tests.on_devices BACKEND PARALLEL[,…] NUM_DEVICES FOLDER VARIANT …`` writes
``FOLDER/PARALLEL VARIANT.npz`` for each mode and each variant. A variant is "dropout on", "dropout off", "float32"
(dropout on), the name of a bug, installed with dropout on, "skipping" (dropout on; some steps are not finite), or "run,
dropout on" and "run, dropout off": the first 50 steps of a run instead of the standard batches. All but "float32"
compute in float64. Processes that join find COORDINATOR, NUM_PROCESSES and PROCESS_ID (Flax) or torchrun's variables in
the environment.
"""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from hybridner.batches.encoding import Encoded, encode
from hybridner.batches.packing import ShapePlan
from hybridner.config.choices import Dtype
from hybridner.config.model import CRFHead, EncoderConfig, LSTMConfig, ModelConfig, WordsInput, original_model
from hybridner.config.options import Options
from hybridner.config.presets import make_options
from hybridner.corpora.labels import labels_of
from hybridner.corpora.sample import sample_sentences
from hybridner.model.learner import Probe
from hybridner.model.twins import learner_class
from hybridner.model.weights import initial_weights
from hybridner.parity.devices import Trace, run_trace, trace
from hybridner.parity.samples import random_weights, standard_batches
from hybridner.text.tokenizer import train_tokenizer
from parity_tests.bugs import BUGS
from parity_tests.skipping import skipping_trace
from tests.sizes import resized

SMALL = original_model(
    vocab_size=60, num_labels=5, hidden_size=32, num_heads=4, num_encoder_layers=2, max_length=64, dropout=0.25
)
WORDS = ModelConfig(
    num_labels=9,
    input=WordsInput(50, 9, 30, 64, 16, 7, 10, 3, 2, 4, filters=((3, 5), (5, 3)), dropout=0.33),
    encoder=EncoderConfig(2, 24, 3, 40, "gelu", norm="pre", relative_distance=4, dropout=0.2, attention_dropout=0.1),
    lstm=LSTMConfig("bidirectional", hidden_size=14, input_dropout=0.33, joins_input=True),
    head=CRFHead(),
    dropout=0.33,
)
# Far from zero, a LayerNorm with variance E[x²] − E[x]² shows; float32 has no room for it.
EMBEDDING_MEAN = {"float64": 500.0, "float32": 0.0}
# Each epoch has four batches of 20 sentences and one of 10.
RUNS = ("run, dropout on",)
SKIPPING = "skipping"
SENTENCES, BATCH_SIZE, STEPS, MOST_DEVICES = 90, 20, 50, 8


def options_for(parallel: str, dtype: Dtype) -> Options:
    env = os.environ
    several = (
        {"num_processes": int(env["NUM_PROCESSES"]), "process_id": int(env["PROCESS_ID"])}
        if "COORDINATOR" in env
        else {}
    )
    return make_options(
        "original",
        dtype=dtype,
        parallel=parallel,
        device="cpu",
        clip_norm=0.1,
        weight_decay=0.05,
        coordinator=env.get("COORDINATOR"),
        **several,
    )


def traced(backend: str, parallel: str, variant: str) -> tuple[Probe, Trace]:
    """Make a learner and trace it on the standard batches."""
    if variant.startswith("run, "):
        return traced_run(backend, parallel, variant)
    if variant == SKIPPING:
        options = options_for(parallel, "float64").replace(on_nonfinite="skip", average=0.3)
        learner_class(backend).join(options)
        config = resized(SMALL, hidden_size=16, num_encoder_layers=1)
        learner = learner_class(backend)(config, options)
        return learner, skipping_trace(learner, row_multiple=MOST_DEVICES)
    config = replace(SMALL, dropout=0.0) if variant == "dropout off" else SMALL
    dtype: Dtype = "float32" if variant == "float32" else "float64"
    options = options_for(parallel, dtype)
    with pytest.MonkeyPatch.context() as patch:
        if variant in BUGS:
            BUGS[variant].inject(patch)
        learner_class(backend).join(options)
        learner = learner_class(backend)(config, options)
        learner.init(random_weights(config, 3, EMBEDDING_MEAN[dtype]))
        found = trace(learner, standard_batches(config, row_multiple=8), [1e-3, 5e-4, 2e-3])
    return learner, found


def traced_run(backend: str, parallel: str, variant: str) -> tuple[Probe, Trace]:
    """Make a learner and trace the first steps of a run with it."""
    encoded, config = run_data()
    config = replace(config, dropout=0.25 if variant == "run, dropout on" else 0.0)
    options = options_for(parallel, "float64")
    learner_class(backend).join(options)
    learner = learner_class(backend)(config, options)
    learner.init(initial_weights(config, 3))
    plan = ShapePlan(encoded.lengths, BATCH_SIZE, MOST_DEVICES)
    return learner, run_trace(learner, encoded, plan, BATCH_SIZE, [1e-3] * STEPS)


def run_data() -> tuple[Encoded, ModelConfig]:
    """Return some sentences of the sample corpus, and a model for them."""
    sentences = list(sample_sentences("train"))[:SENTENCES]
    labels = labels_of(["PER", "ORG", "LOC", "MISC"])
    tokenizer = train_tokenizer(sentences, 300)
    config = original_model(
        vocab_size=tokenizer.vocab_size,
        num_labels=len(labels),
        hidden_size=16,
        num_heads=2,
        num_encoder_layers=1,
        max_length=64,
        pad_token_id=tokenizer.pad_id,
    )
    return encode(sentences, tokenizer, labels, config.input.max_length), config


if __name__ == "__main__":
    backend, ways, num_devices, folder, *variants = sys.argv[1:]
    for parallel in ways.split(","):
        for variant in variants:
            learner, found = traced(backend, parallel, variant)
            assert parallel == "jit" or learner.row_multiple == int(num_devices), learner.device
            if learner.rank == 0:
                np.savez(f"{folder}/{parallel} {variant}.npz", **found)
