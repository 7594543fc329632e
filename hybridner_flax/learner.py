"""A model in training in Flax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.files.tensors import Weights
from hybridner.model.dropout import step_key
from hybridner.model.learner import TrainingState
from hybridner.model.parts import activation_places
from hybridner_flax import parallel
from hybridner_flax.canonical import from_canonical, to_canonical
from hybridner_flax.deterministic import compute_deterministically
from hybridner_flax.predictor import Predictor
from hybridner_flax.step import State, StepMetrics, make_activations, make_gradients, make_step

_SPREADS = {parallel.Jit: "jit", parallel.Pmap: "pmap", parallel.GlobalMesh: "jit over a mesh of all hosts' devices"}


class Learner(Predictor):
    """A model in training; see :class:`hybridner.model.learner.Probe`."""

    @staticmethod
    def join(options: Options) -> int:
        """Join the other processes, if there are any, and return the rank of this one."""
        if options.devices.deterministic:
            compute_deterministically(options.devices.device)
        return parallel.join(options)

    def __init__(self, config: ModelConfig, options: Options) -> None:
        super().__init__(config, None, options.devices)
        self.options = options
        self.spread = _SPREADS[type(self._parallel)]
        num_devices, accumulate = self._parallel.num_devices, options.devices.accumulate
        self.row_multiple = num_devices * accumulate
        graphdef, compiled, axis_name = self._graphdef, self._parallel.compile, self._parallel.axis_name
        shards = num_devices if axis_name is None else 1
        self._step = compiled(make_step(graphdef, options, axis_name, shards), "state", 2)
        self._gradients = compiled(make_gradients(graphdef, axis_name, accumulate, shards), "same", 1)
        self._activations = compiled(make_activations(graphdef), "rows")
        # A second queued step makes a CPU no faster and its buffers would take memory.
        self._one_at_a_time = self._first_device.platform == "cpu"
        self.state: State
        self._steps_done = 0

    def init(self, weights: Weights) -> None:
        """Start from canonical ``weights`` with a new optimizer."""
        zeros = {name: np.zeros_like(value) for name, value in weights.items()}
        self.restore(TrainingState(weights, zeros, zeros, 0))

    def step(self, batch: Batch, learning_rate: float) -> StepMetrics:
        """Start one AdamW step on a global batch; do not wait for the device."""
        key = step_key(self.options.optimization.seed, self._steps_done)
        rate = np.asarray(learning_rate, self._like_dtype)
        with self._precision():
            arrays = self._arrays(batch)
            if self._one_at_a_time:
                jax.block_until_ready(self.state.adam.count)
            self.state, metrics = self._step(self.state, arrays, key, rate)
        self._steps_done += 1
        return metrics

    def gradients(self, batch: Batch) -> tuple[float, Weights]:
        """Compute the mean loss of a global batch and its gradient, with the dropout of the next step."""
        with self._precision():
            key = step_key(self.options.optimization.seed, self._steps_done)
            metrics, grads = self._gradients(self.state.params, self._arrays(batch), key)
        return float(metrics.loss_sum) / max(int(metrics.num_labels), 1), to_canonical(grads)

    def activations(self, batch: Batch) -> dict[str, np.ndarray]:
        """Compute the output of each part of the model, ``[rows, length, …]``, in order, without dropout."""
        with self._precision():
            found = self._activations(self._judged, self._arrays(batch))
        # A compiled function sorts its dict by name.
        places = activation_places(self.config)
        return {name: self._parallel.gather(found[name]) for name in places}

    def peak_memory(self) -> int | None:
        """Return the peak of the device's memory in bytes; None where nothing counts it."""
        return (self._first_device.memory_stats() or {}).get("peak_bytes_in_use")

    def snapshot(self) -> TrainingState:
        """Copy the training state into numpy arrays under canonical names."""
        state = self._parallel.unreplicate(self.state)
        moments = to_canonical(state.adam.mu), to_canonical(state.adam.nu)
        average = None if state.average is None else to_canonical(state.average)
        skipped = self._steps_done - int(state.adam.count)
        return TrainingState(to_canonical(state.params), *moments, self._steps_done, average, skipped)

    def restore(self, state: TrainingState) -> None:
        """Resume from ``state``."""
        with self._precision():
            params, mu, nu = (from_canonical(w, self._like) for w in (state.weights, state.exp_avg, state.exp_avg_sq))
            count = jnp.asarray(state.step - state.skipped, jnp.int32)
            average = None
            if self.options.optimization.average is not None:
                # A copy of the parameters: a step reuses the memory of both.
                average = from_canonical(state.average or state.weights, self._like)
            self.state = self._parallel.replicate(State(params, optax.ScaleByAdamState(count, mu, nu), average))
        self._steps_done = state.step

    @property
    def _judged(self) -> nnx.State:
        return self.state.params if self.state.average is None else self.state.average
