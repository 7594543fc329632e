"""A framework's rate of large matmuls on a device, and its default rounding there."""

import time
from typing import Any

import numpy as np

from hybridner.config.choices import Device, Dtype
from hybridner.model.twins import Backend

_SIZE_ON_CPU, _SIZE = 512, 8192


def measure_matmul(backend: Backend, device: Device, dtype: Dtype, rounds: int, steps: int) -> dict[str, Any]:
    """Return a large square matmul's rates in FLOP/s, one per round, and the type that its errors show it rounds to."""
    size = _SIZE_ON_CPU if device == "cpu" else _SIZE
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), np.float32) for _ in range(2))
    make = _torch_matmul if backend == "torch" else _jax_matmul
    multiply, wait, to_numpy, about = make(device, dtype, a, b)
    for _ in range(3):
        wait(multiply())
    rates = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(steps):
            product = multiply()
        wait(product)
        rates.append(2 * size**3 * steps / (time.perf_counter() - begun))
    rows = slice(0, 64)
    if dtype == "bfloat16":
        a, b = (_to_bfloat16(x) for x in (a, b))
    exact = a[rows].astype(np.float64) @ b.astype(np.float64)
    error = float(np.linalg.norm(to_numpy(product)[rows] - exact) / np.linalg.norm(exact))
    return {"rates": rates, "size": size, "relative_error": error, "rounds_as": rounding(error), **about}


def rounding(error: float) -> str:
    """Return the type whose rounding of the factors or the product explains a matmul's relative error in norm."""
    return "float32" if error < 2e-5 else "TF32" if error < 1e-3 else "bfloat16"


def _to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Round float32 values to the nearest bfloat16, ties to even."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def _torch_matmul(device_name: Device, dtype: Dtype, a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    import torch

    from hybridner_torch.parallel import find_device

    device = find_device(device_name)
    x, y = (torch.from_numpy(m).to(device, getattr(torch, dtype)) for m in (a, b))
    on_gpu = device.type == "cuda"
    about = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()} if on_gpu else {}
    wait = (lambda _: torch.cuda.synchronize()) if on_gpu else (lambda _: None)
    return lambda: x @ y, wait, lambda z: z.float().cpu().numpy(), about


def _jax_matmul(device_name: Device, dtype: Dtype, a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    import jax
    import jax.numpy as jnp

    from hybridner_flax.parallel import find_devices

    device = find_devices(device_name)[0]
    x, y = (jax.device_put(jnp.asarray(m, dtype), device) for m in (a, b))
    multiply = jax.jit(jnp.matmul)
    about = {"platform": device.client.platform_version.splitlines()[0]}
    return lambda: multiply(x, y), lambda z: z.block_until_ready(), lambda z: np.asarray(z, np.float32), about
