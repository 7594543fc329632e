"""A cache of compiled programs on disk, shared by processes."""

import os
from pathlib import Path

import jax

_MOST_BYTES = 2**31


def keep_compiled_programs() -> None:
    """Cache JAX's compiled programs in ``~/.cache/hybridner/xla`` (under ``$XDG_CACHE_HOME``, if set), at most 2 GiB.

    A folder from ``JAX_COMPILATION_CACHE_DIR`` or the caller's JAX config takes precedence;
    ``JAX_ENABLE_COMPILATION_CACHE=false`` turns the cache off. JAX keys a program by its text, options, device and
    version, drops the least recently used, and does without the cache if it cannot use the folder.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "hybridner" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # With a bound, JAX also locks the folder while it writes.
        jax.config.update("jax_compilation_cache_max_size", _MOST_BYTES)
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # By default JAX does not cache programs that compile within a second, as those for prediction do.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
