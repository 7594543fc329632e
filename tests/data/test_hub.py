import subprocess
import sys
import time

import pytest

ASK = """
from hybridner.data.read import read_corpus
from hybridner.errors import InputError
try:
    read_corpus({name!r})
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["conll2003", "someone/corpus"])
def test_a_hub_that_does_not_answer_is_said_in_one_line_and_soon(tmp_path, name):
    # Nothing listens on port 9 of this machine: the connection is refused, as without a network.
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(name=name)], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 20
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{name}: neither a folder here nor a corpus the Hub gave")
    assert "give a folder with train, valid and test files" in done.stdout
    assert "Retry" not in done.stderr
