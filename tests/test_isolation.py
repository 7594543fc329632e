"""What is installed decides what is needed: each twin works without the other's framework."""

import subprocess
import sys

import pytest

HIDE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {hidden!r} else PathFinder.find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
FLAX, TORCH = ("jax", "jaxlib", "flax", "optax", "orbax"), ("torch",)
USE = """
import hybridner
tagger = hybridner.load({model!r})
assert tagger.backend == {backend!r}, tagger.backend
print(tagger.tag_words(["Velmora", "sleeps", "."]))
assert not set({hidden!r}) & set(sys.modules)
"""


def python(code, hidden=()):
    done = subprocess.run([sys.executable, "-c", HIDE.format(hidden=hidden) + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("modules", "banned"),
    [
        ("hybridner", (*FLAX, *TORCH)),
        (
            "hybridner.training.train, hybridner.tagging.tagger, hybridner.evaluation.evaluate, hybridner.cli.train",
            (*FLAX, *TORCH),
        ),
        ("hybridner.export.convert, hybridner.saved.original, hybridner.parity.verify", (*FLAX, *TORCH)),
        ("hybridner_flax.learner, hybridner_flax.checkpoint", TORCH),
        ("hybridner_torch.learner, hybridner_torch.checkpoint", FLAX),
    ],
)
def test_importing_loads_no_framework_but_its_own(modules, banned):
    python(f"import {modules}\nassert not set({banned!r}) & set(sys.modules), sys.modules.keys() & set({banned!r})")


@pytest.mark.parametrize(("backend", "hidden"), [("flax", TORCH), ("torch", FLAX)])
def test_either_twin_opens_a_model_where_the_other_framework_is_missing(saved_model, backend, hidden):
    here = python(USE.format(model=str(saved_model), backend=backend, hidden=hidden), hidden)
    both = python(USE.format(model=str(saved_model), backend="flax", hidden=()))
    assert here == both


def test_a_missing_framework_is_named_with_the_way_to_get_it(saved_model):
    code = f"""
from hybridner.errors import InputError
import hybridner
try:
    hybridner.load({str(saved_model)!r}, backend="flax")
except InputError as error:
    print(error)
"""
    assert "pip install 'hybridner[flax]'" in python(code, FLAX)
