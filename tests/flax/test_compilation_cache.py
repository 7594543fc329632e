import os
import subprocess
import sys

import pytest

SHOW = """
import jax
from hybridner_flax.compilation_cache import keep_compiled_programs
keep_compiled_programs()
print(jax.config.jax_compilation_cache_dir)
"""


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/hybridner/xla"),
        ({"HOME": "/home/someone"}, "/home/someone/.cache/hybridner/xla"),
        ({"XDG_CACHE_HOME": "/caches", "JAX_COMPILATION_CACHE_DIR": "/chosen"}, "/chosen"),
    ],
)
def test_compiled_programs_are_kept_in_the_user_s_cache_or_where_they_say(environment, folder):
    clean = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == folder
