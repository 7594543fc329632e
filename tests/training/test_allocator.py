import os
import subprocess
import sys

import pytest

from hybridner.cli import run as command
from hybridner.cli import train
from hybridner.config.presets import make_options
from hybridner.training.allocator import gains_by_keeping

COUNT = """
import numpy as np, resource, sys
from hybridner.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())
np.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

# Once both are free, the heap ends with more free bytes than an int can count.
HOLD = COUNT.replace("before =", "used, large = np.ones(2**24), np.empty(5 * 2**26)\ndel used\ndel large\nbefore =", 1)


def run(mode, code=COUNT, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    small_pages = {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, mode],
        env={**clean, **small_pages, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux")
def test_a_buffer_that_was_freed_is_used_again_without_a_page_fault():
    (left,) = run("leave")
    done, kept = run("keep")
    if done == "False":
        pytest.skip("this C library has no mallopt")
    assert int(kept) < int(left) / 10


def test_what_the_user_has_set_for_malloc_stays():
    assert run("keep", MALLOC_ARENA_MAX="2")[0] == "False"
    assert run("keep", GLIBC_TUNABLES="glibc.malloc.arena_max=2")[0] == "False"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted on Linux")
def test_freed_memory_is_kept_however_much_it_is():
    done, kept = run("keep", HOLD)
    if done == "False":
        pytest.skip("this C library has no mallopt")
    assert int(kept) < 1000


def test_what_starts_no_thread_comes_before_memory_is_kept():
    code = (
        "import sys, hybridner.cli.train as t; t.keep_freed_memory; print({'numpy', 'jax', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("backend", "preset", "options", "gains"),
    [
        ("flax", "original", {}, True),
        ("flax", "tiny", {}, False),
        ("flax", "original", {"batch_size": 8}, False),
        ("flax", "original", {"accumulate": 8}, False),
        ("flax", "tiny", {"batch_size": 512}, True),
        ("torch", "tiny", {}, True),
    ],
)
def test_memory_is_kept_where_the_buffers_of_a_step_are_large(monkeypatch, backend, preset, options, gains):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert gains_by_keeping(backend, make_options(preset, **options)) == gains


def test_memory_is_not_kept_where_an_accelerator_computes(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "jax_plugins")
    assert not gains_by_keeping("flax", make_options("original"))
    assert gains_by_keeping("flax", make_options("original", device="cpu"))


@pytest.mark.parametrize("typed", [["--preset", "original"], ["--output", "RUN", "--resume"], ["--preset", "tiny"]])
def test_the_command_decides_by_the_options_that_the_run_will_have(monkeypatch, tmp_path, typed):
    asked = []
    monkeypatch.setattr(train, "gains_by_keeping", lambda backend, options: asked.append(options.model.hidden_size))
    monkeypatch.setattr("hybridner.training.train.run_training", lambda *args: None)
    (tmp_path / "config.toml").write_text('backend = "torch"\nhidden_size = 96\n')
    command(["train", "--backend", "torch", *(str(tmp_path) if word == "RUN" else word for word in typed)])
    assert asked == [{"original": 256, "--resume": 96, "tiny": 128}[typed[-1]]]
