"""One cache of compiled programs for all processes of a test run; the user's own is left alone."""

import os
import shutil
import tempfile

import pytest

_CACHE = "JAX_COMPILATION_CACHE_DIR"
_made: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Choose the cache before anything imports JAX, which reads it once."""
    if _CACHE not in os.environ:  # pytest-xdist's workers find what their controller has set
        _made.append(tempfile.mkdtemp(prefix="hybridner-xla-"))
        os.environ[_CACHE] = _made[0]
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**33)  # with a bound, JAX locks the cache while it writes
    if getattr(config.option, "numprocesses", None):
        # The workers have the processors, not each worker's threads; a worker reads this when it loads PyTorch.
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_unconfigure() -> None:
    """Take the cache away again, in the process that has made it."""
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ[_CACHE]
