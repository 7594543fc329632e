"""One cache of compiled programs for all processes of a test run; the user's own is left alone."""

import os
import shutil
import tempfile

_CACHE = "JAX_COMPILATION_CACHE_DIR"


def pytest_configure() -> None:
    """Choose the cache before anything imports JAX, which reads it once."""
    if _CACHE not in os.environ:
        os.environ[_CACHE] = tempfile.mkdtemp(prefix="hybridner-xla-")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def pytest_unconfigure() -> None:
    """Take the cache away again."""
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" in os.environ:
        shutil.rmtree(os.environ.pop(_CACHE), ignore_errors=True)
