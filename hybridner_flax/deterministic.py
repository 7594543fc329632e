"""Bitwise repeatable results, also on a GPU."""

import os

import jax

from hybridner.errors import InputError

_FLAG = "--xla_gpu_deterministic_ops=true"


def compute_deterministically(device: str) -> None:
    """Restrict XLA to deterministic GPU kernels; a CPU's all are.

    XLA then chooses kernels without timing them, replaces atomic additions by sums in a fixed order, and refuses to
    compile an operation that has no deterministic kernel. JAX reads ``XLA_FLAGS`` once, when it starts; we add a flag.

    Args:
        device: device to compute on, or "auto".

    Raises:
        InputError: JAX has already started on a GPU without the flag.
    """
    if device != "auto" and not device.startswith("cuda"):
        return
    flags = os.environ.get("XLA_FLAGS", "").split()
    if _FLAG in flags:
        return
    if not _has_started():
        os.environ["XLA_FLAGS"] = " ".join([*flags, _FLAG])
    elif jax.default_backend() == "gpu":
        raise InputError(
            "--deterministic: JAX has already started in this process, and reads XLA_FLAGS only when it starts; "
            f"start a new process, or set XLA_FLAGS={_FLAG} first"
        )


def _has_started() -> bool:
    # JAX offers no public check, but refuses to change this setting once it has started.
    number = jax.config.values["jax_num_cpu_devices"]
    try:
        jax.config.update("jax_num_cpu_devices", number + 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", number)
    return False
