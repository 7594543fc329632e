"""How a step is compiled and spread over devices: ``jit`` on one, ``pmap`` on one host's, ``mesh`` on all hosts'.

All three compute the same function of the global batch: rows are spread evenly, parameters are on every device,
and sums over the batch are summed over devices before anything is divided.
"""

import math
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, Protocol

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from hybridner.config.options import Options
from hybridner.errors import InputError
from hybridner.training.lifeline import hold
from hybridner.training.relay import relay
from hybridner.training.rendezvous import meet

AXIS = "data"
Returns = Literal["state", "rows", "same"]
Tree = Any
_JOINING_SECONDS = 120  # for processes that are all there
_HEARTBEAT_SECONDS = 30  # without one for so long, JAX ends the processes that it has found by itself


class Parallel(Protocol):
    """A way to run functions of (what is on every device, rows of a batch, small keys).

    Attributes:
        axis_name: name to sum over inside the step, or None where the compiler does it.
        num_devices: batches need a multiple of this many rows.
    """

    axis_name: str | None
    num_devices: int

    def compile(self, function: Callable[..., Any], returns: Returns, num_keys: int = 0) -> Callable[..., Any]:
        """Compile ``function(replicated, arrays, *keys)`` of ``num_keys`` keys.

        Args:
            function: what each device runs (Pmap) or what all run together.
            returns: "state" for ``(state, metrics)``, where the memory of the state that goes in is taken over;
                "rows" for arrays that are spread over the devices; "same" for what all devices agree on.
            num_keys: how many small arguments follow, the same on every device.
        """
        ...

    def replicate(self, tree: Tree) -> Tree:
        """Put ``tree`` on every device."""
        ...

    def unreplicate(self, tree: Tree) -> Tree:
        """One copy of what :meth:`replicate` spread."""
        ...

    def shard(self, array: np.ndarray) -> Array:
        """Spread the rows of ``array [rows, length]``, all that this process has, over its devices."""
        ...

    def gather(self, array: Array) -> np.ndarray:
        """The rows of a result, on the host."""
        ...


class Jit:
    """One device."""

    axis_name: str | None = None
    num_devices: int = 1

    def __init__(self, device: jax.Device) -> None:
        self._device = device

    def compile(self, function: Callable[..., Any], returns: Returns, num_keys: int = 0) -> Callable[..., Any]:
        return jax.jit(function, donate_argnums=0 if returns == "state" else ())

    def replicate(self, tree: Tree) -> Tree:
        return jax.device_put(tree, self._device)

    def unreplicate(self, tree: Tree) -> Tree:
        return tree

    def shard(self, array: np.ndarray) -> Array:
        return jax.device_put(array, self._device)

    def gather(self, array: Array) -> np.ndarray:
        return np.asarray(array)


class Pmap:
    """The devices of one host; every array of a state has a leading axis, one entry a device."""

    axis_name: str | None = AXIS

    def __init__(self, devices: list[jax.Device]) -> None:
        self._devices = devices
        self.num_devices = len(devices)
        mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
        self._sharding = NamedSharding(mesh, PartitionSpec(AXIS))

    def compile(self, function: Callable[..., Any], returns: Returns, num_keys: int = 0) -> Callable[..., Any]:
        return jax.pmap(
            function,
            AXIS,
            in_axes=(0, 0, *[None] * num_keys),
            out_axes={"state": (0, None), "rows": 0, "same": None}[returns],
            devices=self._devices,
            donate_argnums=0 if returns == "state" else (),
        )

    def replicate(self, tree: Tree) -> Tree:
        return jax.device_put(
            jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (self.num_devices, *x.shape)), tree),
            self._sharding,
        )

    def unreplicate(self, tree: Tree) -> Tree:
        return jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree)

    def shard(self, array: np.ndarray) -> Array:
        return jax.device_put(array.reshape(self.num_devices, -1, *array.shape[1:]), self._sharding)

    def gather(self, array: Array) -> np.ndarray:
        return np.asarray(array).reshape(-1, *array.shape[2:])


class GlobalMesh:
    """All devices of all hosts, through jit with ``NamedSharding``; each host passes in only its own rows."""

    axis_name: str | None = None

    def __init__(self, devices: list[jax.Device]) -> None:
        self.num_devices = len(devices)
        mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
        self._rows = NamedSharding(mesh, PartitionSpec(AXIS))
        self._everywhere = NamedSharding(mesh, PartitionSpec())

    def compile(self, function: Callable[..., Any], returns: Returns, num_keys: int = 0) -> Callable[..., Any]:
        return jax.jit(
            function,
            donate_argnums=0 if returns == "state" else (),
            in_shardings=(self._everywhere, self._rows, *[self._everywhere] * num_keys),
            out_shardings=self._everywhere,
        )

    def replicate(self, tree: Tree) -> Tree:
        return jax.device_put(tree, self._everywhere)

    def unreplicate(self, tree: Tree) -> Tree:
        return jax.tree.map(lambda x: x.addressable_shards[0].data, tree)

    def shard(self, array: np.ndarray) -> Array:
        rows = len(array) * jax.process_count()
        return jax.make_array_from_process_local_data(self._rows, array, (rows, *array.shape[1:]))

    def gather(self, array: Array) -> np.ndarray:
        return np.asarray(array.addressable_shards[0].data)


def join(options: Options) -> int:
    """Join the other processes, if there are any, and return this one's rank; call it before any other JAX.

    Raises:
        InputError: another process did not come, or one of the three options is missing.
    """
    given = (options.devices.coordinator, options.devices.num_processes, options.devices.process_id)
    if jax.distributed.is_initialized():
        return jax.process_index()
    if (
        options.devices.coordinator is not None
        and options.devices.num_processes is not None
        and options.devices.process_id is not None
    ):
        rank, num_processes = options.devices.process_id, options.devices.num_processes
        connections = meet(options.devices.coordinator, rank, num_processes, options.devices.join_timeout)
        if num_processes > 1:
            hold(rank, num_processes, connections)
            coordinator = options.devices.coordinator if rank == 0 else relay(options.devices.coordinator)
            jax.distributed.initialize(coordinator, num_processes, rank, initialization_timeout=_JOINING_SECONDS)
    elif any(option is not None for option in given):
        raise InputError("--coordinator, --num-processes and --process-id belong together: give all three, or none")
    else:
        _join_detected(options.devices.join_timeout)
    return jax.process_index()


def _join_detected(timeout: float) -> None:
    """Join what JAX finds by itself: a TPU slice, SLURM, Open MPI, Kubernetes; nothing where there is none."""
    try:
        jax.distributed.initialize(
            initialization_timeout=math.ceil(timeout), heartbeat_timeout_seconds=_HEARTBEAT_SECONDS
        )
    except ValueError as error:  # no address, since there is no cluster
        if os.environ.get("JAX_COORDINATOR_ADDRESS"):
            raise InputError(f"JAX_COORDINATOR_ADDRESS is set, and JAX cannot join: {error}") from error
    except RuntimeError as error:
        if "must be called before" not in str(error):  # a process that has computed already stays alone
            raise


def choose(options: Options) -> Parallel:
    """The way to spread that ``options`` ask for, or the plainest that uses every device.

    Raises:
        InputError: the devices are not there, or cannot be spread over as asked.
    """
    devices = find_devices(options.devices.device, options.devices.num_devices)
    kind, num_hosts = options.devices.parallel, jax.process_count()
    if kind == "auto":
        kind = "mesh" if num_hosts > 1 else "pmap" if len(devices) > 1 else "jit"
    if num_hosts > 1:
        if kind != "mesh":
            raise InputError(f"--parallel {kind} works on one host, and there are {num_hosts}; use mesh")
        counts = Counter(device.process_index for device in devices)
        if len(counts) < num_hosts or len(set(counts.values())) > 1:
            found = ", ".join(str(counts[host]) for host in range(num_hosts))
            raise InputError(f"the hosts have {found} devices; each needs the same number")
    if kind == "jit":
        return Jit(devices[0])
    return Pmap(devices) if kind == "pmap" else GlobalMesh(devices)


def find_devices(device: str, number: int | None = None) -> list[jax.Device]:
    """Find devices, host by host: of the best kind there is for "auto", a single one for "cuda:0".

    Args:
        device: the kind, for "cuda" with a number.
        number: return only the first so many.

    Raises:
        InputError: there is none, or there are not as many.
    """
    if device == "mps":
        raise InputError("--device mps is PyTorch's; with Flax use cpu, cuda or tpu")
    kind, _, index = device.partition(":")
    try:
        devices = jax.devices(None if kind == "auto" else kind)
    except RuntimeError as error:
        kinds = sorted({d.platform for d in jax.devices()})
        raise InputError(f"no device {device!r} here; JAX sees {', '.join(kinds)}") from error
    devices = sorted(devices, key=lambda d: (d.process_index, d.id))
    if index:
        if int(index) >= len(devices):
            raise InputError(f"no device {device!r} here; JAX sees {len(devices)} of that kind")
        return [devices[int(index)]]
    if number is None:
        return devices
    if jax.process_count() > 1:
        raise InputError("--num-devices works on one host; with several, each uses all the devices that it sees")
    if number > len(devices):
        raise InputError(f"--num-devices {number}: JAX sees {len(devices)} {devices[0].platform} devices here")
    return devices[:number]
