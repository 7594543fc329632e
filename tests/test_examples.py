"""Every example runs: the command in its docstring does what the docstring says."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = {  # in the order of examples/README.md
    "own_sentences.py": ("test F1", "PER  Greta Holm  characters 10 to 20"),
    "compare_logits.py": ("float32: 15 pieces", "float64: 15 pieces"),
    "plain_jax.py": ("after 20 steps",),
}


def test_every_example_is_run_and_listed():
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts == set(EXAMPLES)
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert all(f"({name})" in listed for name in scripts)


@pytest.mark.slow
def test_the_examples_run_in_their_order_by_the_commands_of_their_docstrings(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "JAX_PLATFORMS": "cpu"}
    for name, printed in EXAMPLES.items():
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        python, script, *args = shlex.split(text.splitlines()[2])
        assert (python, script) == ("python", f"examples/{name}")
        command = [sys.executable, str(ROOT / script), *args]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [words for words in printed if words not in done.stdout] == [], done.stdout
