"""Learners that are alike share what XLA has compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


@contextmanager
def shared_compilations(folder: Path) -> Iterator[None]:
    options = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0.0}
    before = {name: getattr(jax.config, name) for name in options}
    _use(options)
    try:
        yield
    finally:
        _use(before)


def _use(options: dict[str, object]) -> None:
    compilation_cache.reset_cache()
    for name, value in options.items():
        jax.config.update(name, value)
