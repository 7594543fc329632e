"""Every array in both versions of the model has the shape and the type that its annotation states."""

import pytest

from parity_tests.conftest import run_python

pytestmark = pytest.mark.slow

MODULES = ("model", "embedding", "words", "encoder", "lstm", "crf", "layers", "dropout", "step")
CHECKED = f"""
import warnings
from jaxtyping import install_import_hook

warnings.filterwarnings("ignore")  # beartype's, about typing.Hashable in JAX's own annotations
modules = [f"hybridner_{{backend}}.{{name}}" for backend in ("flax", "torch") for name in {MODULES}]
with install_import_hook(modules, "beartype.beartype"):
    import hybridner_flax.learner
    import hybridner_torch.learner

from dataclasses import replace

from hybridner.config.presets import make_options
from hybridner.parity.samples import random_weights, standard_batches
from parity_tests.on_devices import SMALL, WITH_VECTORS

options = make_options("original", parallel="jit", device="cpu", average=0.9, clip_norm=1.0)
for module in (hybridner_flax, hybridner_torch):
    for config in (SMALL, WITH_VECTORS):
        learner = module.learner.Learner(config, options)
        learner.init(random_weights(config, 3))
        batch = standard_batches(config)[2]
"""
STEP = """
        learner.activations(batch)
        learner.step(batch, 1e-3)
"""
WRONG = """
        learner.predict(replace(batch, attention_mask=batch.attention_mask[:, :-1]))
"""


def test_both_versions_compute_with_arrays_of_the_stated_shapes():
    run_python((["-c", CHECKED + STEP], {}))


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(AssertionError, match="TypeCheckError"):
        run_python((["-c", CHECKED + WRONG], {}))
