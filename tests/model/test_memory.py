import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from hybridner.batches.packing import Shape
from hybridner.errors import InputError
from hybridner.model.memory import IN_TRAINING, MemoryWatch
from hybridner.tagging.inference import predict_words

TOO_MANY = 1 << 55
ERRORS = {
    "Python": lambda: bytearray(TOO_MANY),
    "numpy": lambda: np.ones(TOO_MANY, np.uint8),
    "PyTorch on a CPU": lambda: torch.empty(TOO_MANY, dtype=torch.uint8),
    "JAX": lambda: jnp.zeros((1 << 24, 1 << 24)).block_until_ready(),
}
TRAINING = """
import resource, sys
import hybridner
from hybridner.cli.parse import guarded
from hybridner.model.twins import learner_class

learner_class("torch")
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**30, mapped + 2**30))
options = dict(vocab_size=300, hidden_size=256, batch_size=2048, max_steps=2, output=sys.argv[1])
sys.exit(guarded(lambda: hybridner.train("torch", **options)))
"""


@pytest.mark.parametrize("allocate", ERRORS.values(), ids=ERRORS)
def test_running_out_of_memory_names_the_batch_and_what_to_lower(allocate):
    watch = MemoryWatch(IN_TRAINING)
    for shape in (Shape(9, 9), Shape(20, 64), Shape(18, 80), Shape(20, 64), Shape(20, 64)):
        watch.note(shape)
    with pytest.raises(InputError) as raised, watch:
        allocate()
    assert str(raised.value).startswith(
        "out of memory with a batch of 20 × 64 or 18 × 80 (rows × pieces); lower --batch"
    )
    assert "--max-length" in str(raised.value)
    assert "--accumulate" in str(raised.value)


def test_a_gpu_out_of_memory_is_recognized():
    with pytest.raises(InputError, match="out of memory"), MemoryWatch(IN_TRAINING):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("shapes differ"), KeyboardInterrupt()])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as raised, MemoryWatch(IN_TRAINING):
        raise error
    assert raised.value is error


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_run_that_does_not_fit_ends_with_one_line(tmp_path):
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: out of memory with a batch of ")
    assert "lower --batch-size or --max-length, or compute a step in parts with --accumulate" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("where", ["predict", "gather"])
def test_prediction_that_does_not_fit_names_the_batch(encoded_split, where):
    class Learner:
        row_multiple, rank, world_size, num_lanes = 1, 0, 1, 1

        def predict(self, batch):
            return bytearray(TOO_MANY) if where == "predict" else batch

        def gather(self, batch):
            return np.ones(TOO_MANY, np.uint8)

    with pytest.raises(InputError, match=r"out of memory with a batch of 1 × 32 \(rows × pieces\); compute on another"):
        predict_words(Learner(), encoded_split, 0)


@pytest.fixture
def encoded_split(tokenizer):
    from hybridner.batches.encoding import encode
    from hybridner.corpora.corpus import Sentence

    return encode([Sentence(("the", "river"))] * 5, tokenizer, ("O",), 24)
