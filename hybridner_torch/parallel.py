"""Processes as torchrun starts them, each with its own device and its rows of a batch."""

import atexit
import os
from datetime import timedelta

import torch
from torch import distributed

from hybridner.config.options import Options
from hybridner.errors import InputError


def join(options: Options) -> int:
    """Join the other processes, if there are any, and return the rank of this one.

    Raises:
        InputError: a process did not join in time, or an option is for Flax only.
    """
    devices = options.devices
    if devices.coordinator is not None:
        raise InputError("--coordinator is for Flax; start several PyTorch processes with torchrun")
    if devices.parallel in ("pmap", "mesh"):
        raise InputError(f"--parallel {devices.parallel} is Flax's; start several PyTorch processes with torchrun")
    if devices.num_devices is not None:
        raise InputError("--num-devices is Flax's; choose the number of PyTorch processes: torchrun --nproc-per-node N")
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return 0
    if not distributed.is_initialized():
        _join_others(devices.device, devices.join_timeout)
    return distributed.get_rank()


def _join_others(kind: str, timeout: float) -> None:
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local_rank) if find_device(kind).type == "cuda" else None
    try:
        # A timeout for init_process_group would also apply to every later collective.
        store, rank, world_size = next(distributed.rendezvous("env://", timeout=timedelta(seconds=timeout)))
        # torchrun restarts processes with the old store, which still has the addresses of the lost ones.
        store = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        distributed.init_process_group(
            "nccl" if device else "gloo", store=store, rank=rank, world_size=world_size, device_id=device
        )
        atexit.register(_leave)
    except (ValueError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"
        raise InputError(
            f"{where}: not all {os.environ['WORLD_SIZE']} processes joined within {timeout:g} s (--join-timeout): "
            f"{str(error).splitlines()[0]}; check that each runs and can reach this address"
        ) from error


def _leave() -> None:
    """Leave the other processes; without this, Gloo's threads may abort a process that has finished."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def rank_and_world_size() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; ``(0, 1)`` if it joined none."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def find_device(device: str) -> torch.device:
    """Find a device: the best kind here for "auto", a single one for "cuda:0".

    Each of several processes has its own GPU.

    Raises:
        InputError: there are none.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    there = {"cpu": True, "cuda": cuda, "mps": mps, "tpu": False}
    if device == "auto":
        device = "cuda" if there["cuda"] else "cpu"
    kind, _, number = device.partition(":")
    if not there[kind] or (number and int(number) >= torch.cuda.device_count()):
        kinds = [kind for kind, is_there in there.items() if is_there]
        raise InputError(f"no device {device!r} here; PyTorch sees {', '.join(kinds)}")
    if device == "cuda" and distributed.is_initialized():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(device)
