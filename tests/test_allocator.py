import os
import subprocess
import sys

import pytest

COUNT = """
import numpy as np, resource, sys
from hybridner.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())
np.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(mode, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, mode], env={**clean, **environment}, capture_output=True, text=True, check=True
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
