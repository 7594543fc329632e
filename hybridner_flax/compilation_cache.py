"""Compiled programs kept on disk, so that the same step is compiled once and not in each process."""

import os
from pathlib import Path

import jax

_MOST_BYTES = 2**31


def keep_compiled_programs() -> None:
    """Keep what JAX compiles in ``~/.cache/hybridner/xla`` (below ``$XDG_CACHE_HOME``, if that is set).

    A folder that was chosen already stays, through ``JAX_COMPILATION_CACHE_DIR`` or by code that uses JAX;
    ``JAX_ENABLE_COMPILATION_CACHE=false`` turns the cache off. JAX keys a program by its text, its options, the
    device and the version, and goes on without the cache where the folder cannot be used. Of more than 2 GiB, those go
    that were not used for longest.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "hybridner" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # A program takes half a megabyte to a few; with a bound, JAX also locks the folder while it writes there.
        jax.config.update("jax_compilation_cache_max_size", _MOST_BYTES)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # The default leaves out what compiles in less than a second, which the programs for prediction do.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
