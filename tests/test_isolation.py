"""Each backend works without the other's framework, and both work without extras."""

import subprocess
import sys

import pytest

from tests.small_runs import NAMES, SMALL

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
PLOTS, SEQEVAL, BOARD = ("matplotlib",), ("seqeval", "sklearn", "scipy"), ("tensorboardX",)
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


WORK = """
import hybridner
from hybridner.cli import run

result = hybridner.train({backend!r}, data={data!r}, output={output!r}, max_steps=4, **{small!r})
print(result.test["scorer"])
assert run(["evaluate", {output!r}, "--data", {data!r}, "--backend", {backend!r}, "--html", {page!r}]) == 0
assert run(["predict", {output!r}, "Anna lives in Dorst .", "--backend", {backend!r}]) == 0
assert not set({hidden!r}) & set(sys.modules)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, names in (("train", NAMES), ("valid", NAMES[:4]), ("test", NAMES[4:8])):
        rows = "".join(f"{name} B-PER\nlives O\nin O\nDorst B-LOC\n. O\n\n" for name in names)
        (folder / f"{split}.txt").write_text(rows)
    return str(folder)


# JAX itself needs scipy.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "hidden"), [("flax", (*PLOTS, "seqeval", "sklearn", *BOARD)), ("torch", (*PLOTS, *SEQEVAL, *BOARD))]
)
def test_without_any_extra_a_tagger_trains_and_is_used_and_what_is_left_out_is_said_once(
    backend, hidden, corpus, tmp_path
):
    run, page = tmp_path / "run", tmp_path / "page.html"
    values = {"backend": backend, "data": corpus, "output": str(run), "page": str(page), "small": SMALL}
    said = python(WORK.format(hidden=hidden, **values), hidden)
    assert said.count("curves.png needs matplotlib: pip install 'hybridner[plots]'") == 1
    assert said.count("tensorboard/ needs tensorboardX: pip install 'hybridner[tensorboard]'") == 1
    assert "micro average as conlleval counts\n" in said
    assert not (run / "curves.png").exists()
    assert not (run / "tensorboard").exists()
    text = page.read_text()
    assert text.count("a page with pictures needs matplotlib: pip install &#x27;hybridner[plots]&#x27;") == 1
    assert "<picture>" not in text


def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(saved_model, tmp_path):
    code = f"""
from hybridner.cli import run
from hybridner.errors import InputError
try:
    run(["verify", {str(saved_model)!r}, "--plot", {str(tmp_path / "plot.png")!r}])
except InputError as error:
    print(error)
"""
    assert python(code, PLOTS) == "--plot needs matplotlib: pip install 'hybridner[plots]'\n"
