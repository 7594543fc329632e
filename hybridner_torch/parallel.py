"""The processes of a run, as torchrun starts them: each computes its rows of a batch on a device of its own."""

import os
from datetime import timedelta

import torch
from torch import distributed

from hybridner.config.options import Options
from hybridner.errors import InputError


def join(options: Options) -> int:
    """Join the other processes, if the environment names any, and return this one's rank.

    Raises:
        InputError: a process did not join in time, or an option is Flax's.
    """
    devices = options.devices
    if devices.coordinator is not None:
        raise InputError("--coordinator is for Flax; start several PyTorch processes with torchrun")
    if devices.parallel in ("pmap", "mesh"):
        raise InputError(f"--parallel {devices.parallel} is Flax's; start several PyTorch processes with torchrun")
    if devices.num_devices is not None:
        raise InputError(
            "--num-devices is Flax's; with PyTorch the number of processes decides: torchrun --nproc-per-node N"
        )
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return 0
    if not distributed.is_initialized():
        _join_others(devices.device, devices.join_timeout)
    return distributed.get_rank()


def _join_others(kind: str, timeout: float) -> None:
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local_rank) if find_device(kind).type == "cuda" else None
    try:
        # A timeout given to init_process_group would end every later collective that takes longer, too.
        store, rank, world_size = next(distributed.rendezvous("env://", timeout=timedelta(seconds=timeout)))
        # torchrun restarts lost processes with the store of the lost ones, which still has their addresses.
        store = distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        distributed.init_process_group(
            "nccl" if device else "gloo", store=store, rank=rank, world_size=world_size, device_id=device
        )
    except (ValueError, RuntimeError) as error:
        where = f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"
        raise InputError(
            f"{where}: not all {os.environ['WORLD_SIZE']} processes joined within {timeout:g} s (--join-timeout): "
            f"{str(error).splitlines()[0]}; check that each runs and can reach this address"
        ) from error


def rank_and_world_size() -> tuple[int, int]:
    """Rank of this process and number of processes; ``(0, 1)`` where none were joined."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def find_device(device: str) -> torch.device:
    """Find a device: of the best kind there is for "auto", the one with that number for "cuda:0".

    Of several GPUs, each joined process has its own.

    Raises:
        InputError: there is none.
    """
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "tpu": False,
    }
    if device == "auto":
        device = "cuda" if there["cuda"] else "cpu"
    kind, _, number = device.partition(":")
    if not there[kind] or (number and int(number) >= torch.cuda.device_count()):
        kinds = [kind for kind, is_there in there.items() if is_there]
        raise InputError(f"no device {device!r} here; PyTorch sees {', '.join(kinds)}")
    if device == "cuda" and distributed.is_initialized():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device(device)
