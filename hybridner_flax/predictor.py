"""A model that computes logits in Flax."""

from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import DeviceOptions
from hybridner.files.tensors import Weights
from hybridner_flax import parallel
from hybridner_flax.canonical import from_canonical, to_canonical
from hybridner_flax.compilation_cache import keep_compiled_programs
from hybridner_flax.model import HybridNER
from hybridner_flax.step import BatchArrays, make_predict


class Predictor:
    """A model on its devices; see :class:`hybridner.model.learner.Predictor`."""

    def __init__(self, config: ModelConfig, weights: Weights | None, devices: DeviceOptions) -> None:
        """Copy ``weights`` to the devices; with None a subclass does."""
        keep_compiled_programs()
        self.config = config
        self._parallel = parallel.choose(devices)
        self._x64 = devices.dtype == "float64"
        found = parallel.find_devices(devices.device, devices.num_devices)
        self._first_device = next(d for d in found if d.process_index == jax.process_index())
        num_devices = self._parallel.num_devices
        self.row_multiple = num_devices
        count = f"{num_devices} × " if num_devices > 1 else ""
        self.device = f"{count}{found[0].device_kind}"
        self.rank, self.world_size = jax.process_index(), jax.process_count()
        # XLA runs the programs of one thread one after the other.
        is_alone = type(self._parallel) is parallel.Jit
        self.num_lanes = 2 if found[0].platform == "cpu" and is_alone else 1

        def new_model() -> HybridNER:
            return HybridNER(config, seed=None, dtype=jnp.dtype(devices.dtype), param_dtype=self._like_dtype)

        with self._precision():
            self._graphdef, self._like = nnx.split(nnx.eval_shape(new_model), nnx.Param)
            self._predict = self._parallel.compile(make_predict(self._graphdef), "rows")
            if weights is not None:
                self._params = self._parallel.replicate(from_canonical(weights, self._like))

    def predict(self, batch: Batch) -> Array:
        """Start to compute float32 or wider logits ``[rows, length, num_labels]``; do not wait for the device."""
        with self._precision():
            return self._predict(self._judged, self._arrays(batch))

    def gather(self, logits: Array) -> Float[np.ndarray, "rows length num_labels"]:
        """Copy the result of :meth:`predict` from all processes into numpy."""
        return self._parallel.gather(logits)

    def weights(self) -> Weights:
        """Copy the canonical weights that :meth:`predict` uses."""
        return to_canonical(self._parallel.unreplicate(self._judged))

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.world_size > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("hybridner")

    def agree(self, number: int) -> int:
        """Return the largest ``number`` of any process."""
        if self.world_size == 1:
            return number
        from jax.experimental import multihost_utils

        return int(multihost_utils.process_allgather(np.int32(number)).max())

    @property
    def _judged(self) -> nnx.State:
        return self._params

    @property
    def _like_dtype(self) -> np.dtype[Any]:
        return np.dtype("float64" if self._x64 else "float32")

    def _arrays(self, batch: Batch) -> BatchArrays:
        shard = self._parallel.shard
        batch = batch.take_part(self.rank, self.world_size)
        vectors = None if batch.vectors is None else shard(batch.vectors)
        return BatchArrays(shard(batch.input_ids), shard(batch.attention_mask), shard(batch.labels), vectors)

    def _precision(self) -> AbstractContextManager[Any]:
        return jax.enable_x64(self._x64)
