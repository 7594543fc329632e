"""Devices, and three ways to spread a step: ``jit`` on one, ``pmap`` on one host's, ``mesh`` on all hosts'.

All three compute the same function of the global batch: rows are spread evenly, every device has
the parameters, and devices add up their sums over the batch before anything is divided.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from hybridner.config.options import DeviceOptions, Options
from hybridner.errors import InputError

AXIS = "data"
Returns = Literal["state", "rows", "same"]
Tree = Any
_HEARTBEAT_SECONDS = 30  # a process silent for so long is lost, and JAX ends the others
_DAY_SECONDS = 86_400


class Jit:
    """One device; :class:`Pmap` and :class:`GlobalMesh` have the same methods.

    Attributes:
        axis_name: axis to sum over inside the step, or None where the compiler sums.
        num_devices: batches need a multiple of this many rows.
    """

    axis_name: str | None = None
    num_devices: int = 1

    def __init__(self, device: jax.Device) -> None:
        self._device = device

    def compile(self, function: Callable[..., Any], returns: Returns, num_keys: int = 0) -> Callable[..., Any]:
        """Compile ``function(replicated, arrays, *keys)``.

        Args:
            function: runs on each device (Pmap) or once for all.
            returns: "state" for ``(state, metrics)``, where the new state reuses the memory of the old one; "rows" for
                arrays spread over the devices; "same" for results that all devices agree on.
            num_keys: number of small arguments after the arrays, the same on every device.
        """
        return jax.jit(function, donate_argnums=0 if returns == "state" else ())

    def replicate(self, tree: Tree) -> Tree:
        """Put ``tree`` on every device."""
        return jax.device_put(tree, self._device)

    def unreplicate(self, tree: Tree) -> Tree:
        """Return one copy of what :meth:`replicate` spread."""
        return tree

    def shard(self, array: np.ndarray) -> Array:
        """Spread the rows of ``array [rows, length]``, all that this process has, over its devices."""
        return jax.device_put(array, self._device)

    def gather(self, array: Array) -> np.ndarray:
        """Copy the rows of a result to the host."""
        return np.asarray(array)


class Pmap:
    """The devices of one host; every array of a state has a leading axis with one entry per device."""

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
    """All devices of all hosts, through jit with ``NamedSharding``; each host passes only its own rows."""

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


Parallel = Jit | Pmap | GlobalMesh


def join(options: Options) -> int:
    """Join the other processes, if there are any, and return the rank of this one; call it before any other JAX.

    Raises:
        InputError: a process did not join in time, JAX cannot join, or one of the three options is missing.
    """
    if jax.distributed.is_initialized():
        return jax.process_index()
    devices = options.devices
    given = (devices.coordinator, devices.num_processes, devices.process_id)
    if None in given and any(option is not None for option in given):
        raise InputError("--coordinator, --num-processes and --process-id belong together: give all three, or none")
    if devices.coordinator is not None and not re.fullmatch(r".+:\d+", devices.coordinator):
        raise InputError(f"--coordinator {devices.coordinator}: expected the address of process 0 as HOST:PORT")
    address = devices.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    try:
        _initialize(*given, devices.join_timeout)
    except TimeoutError:
        raise InputError(
            f"{address or 'the cluster that JAX found'}: not all processes joined within {devices.join_timeout:g} s "
            "(--join-timeout); check that each runs and can reach this address"
        ) from None
    except (ValueError, RuntimeError) as error:
        if address is not None:
            raise InputError(f"{address}: JAX cannot join the other processes: {error}") from error
        # A process trains alone if JAX finds no cluster or has already computed.
        if isinstance(error, RuntimeError) and "must be called before" not in str(error):
            raise
    return jax.process_index()


def _initialize(coordinator: str | None, num_processes: int | None, process_id: int | None, timeout: float) -> None:
    """Call ``jax.distributed.initialize``, in a thread: JAX's own timeout ends the process with SIGABRT.

    Raises:
        TimeoutError: a process did not join within ``timeout`` seconds; the thread still waits.
    """
    errors: list[Exception] = []

    def initialize() -> None:
        try:
            jax.distributed.initialize(
                coordinator,
                num_processes,
                process_id,
                initialization_timeout=_DAY_SECONDS,
                heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            )
        except Exception as error:
            errors.append(error)

    thread = Thread(target=initialize, name="hybridner-join", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError
    if errors:
        raise errors[0]


def choose(options: DeviceOptions) -> Parallel:
    """Choose the way to spread in ``options``, or the simplest one that uses every device.

    Raises:
        InputError: the devices are missing, or this way cannot use them.
    """
    devices = find_devices(options.device, options.num_devices)
    kind, num_hosts = options.parallel, jax.process_count()
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
    """Find devices, host by host: the best kind here for "auto", a single one for "cuda:0".

    Args:
        device: kind of device, for "cuda" also with a number.
        number: return only this many.

    Raises:
        InputError: there are none, or too few.
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
