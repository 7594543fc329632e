"""The same bits from the same work each time, on a GPU too."""

import os

import jax

from hybridner.errors import InputError

_FLAG = "--xla_gpu_deterministic_ops=true"


def compute_deterministically(device: str) -> None:
    """Let XLA use only GPU kernels that give the same bits each time; a CPU's all do.

    XLA then chooses kernels without timing them, adds in a fixed order where it would use atomic additions, and refuses
    to compile what it can only do in another way. It reads its flags once, when JAX starts: they hold for the process,
    and those that stand in ``XLA_FLAGS`` stay.

    Args:
        device: the kind that will compute, or "auto".

    Raises:
        InputError: JAX has started on a GPU already, without the flag.
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
            "--deterministic: JAX has computed in this process already, and reads XLA_FLAGS only when it starts; "
            f"begin a new one, or set XLA_FLAGS={_FLAG} before"
        )


def _has_started() -> bool:
    # There is no public way to ask; but this can be changed only before.
    number = jax.config.values["jax_num_cpu_devices"]
    try:
        jax.config.update("jax_num_cpu_devices", number + 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", number)
    return False
