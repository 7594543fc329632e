"""Loss, gradients, AdamW and prediction in Flax, compiled once for each batch shape."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, Int32, UInt32

from hybridner.batches.batch import Batch
from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.files.tensors import Weights
from hybridner.model.dropout import step_key
from hybridner.model.learner import ADAM_BETAS, ADAM_EPS, CLIP_EPS, TrainingState
from hybridner_flax import parallel
from hybridner_flax.canonical import from_canonical, to_canonical
from hybridner_flax.compilation_cache import keep_compiled_programs
from hybridner_flax.deterministic import compute_deterministically
from hybridner_flax.dropout import DropoutStream
from hybridner_flax.model import HybridNER

_SPREADS = {parallel.Jit: "jit", parallel.Pmap: "pmap", parallel.GlobalMesh: "jit over a mesh of all hosts' devices"}


class State(NamedTuple):
    """What a step changes, on the device: parameters, both moments, the updates done, the average if one is kept."""

    params: nnx.State
    adam: optax.ScaleByAdamState
    average: nnx.State | None


class BatchArrays(NamedTuple):
    """The arrays of a batch that the device needs, int32 ``[rows, length]`` each."""

    input_ids: Int32[Array, "rows length"]
    attention_mask: Int32[Array, "rows length"]
    labels: Int32[Array, "rows length"]


class StepMetrics(NamedTuple):
    """Sums over the global batch, on the device; a step that was skipped has a loss that is not a number."""

    loss_sum: Float[Array, ""]
    num_labels: Int[Array, ""]


def token_loss_sum(
    logits: Float[Array, "rows length num_labels"], labels: Int[Array, "rows length"]
) -> Float[Array, ""]:
    """Sum of the cross-entropies of the labelled pieces, in float32 or wider."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    labelled = labels != IGNORED
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(labelled, labels, 0))
    return jnp.sum(jnp.where(labelled, losses, 0))


def make_gradients(
    graphdef: nnx.GraphDef[HybridNER], axis_name: str | None, parts: int = 1, shards: int = 1
) -> Callable[..., Any]:
    """Loss and gradients of a batch, a pure function to be compiled.

    Args:
        graphdef: the model without its parameters.
        axis_name: sum over this axis of devices, if the function runs once on each.
        parts: compute the rows in so many parts, one after the other, to save memory.
        shards: devices that the compiler spreads the rows over; each has its share of every part.

    Returns:
        ``gradients(params, arrays, key) -> (metrics, grads)``; the loss is the mean over the global batch's labels.
    """
    total = (lambda x: lax.psum(x, axis_name)) if axis_name else (lambda x: x)

    def gradients(params: nnx.State, arrays: BatchArrays, key: UInt32[Array, "2"]) -> tuple[StepMetrics, nnx.State]:
        num_rows = arrays.labels.shape[0]
        rows = jnp.arange(num_rows) + (lax.axis_index(axis_name) * num_rows if axis_name else 0)
        num_labels = total(jnp.sum(arrays.labels != IGNORED))

        def mean_loss(params: nnx.State, arrays: BatchArrays, rows: Int[Array, "rows"]) -> Float[Array, ""]:
            model = nnx.merge(graphdef, params)
            logits = model(arrays.input_ids, arrays.attention_mask, DropoutStream(key, rows))
            # Divided by the number of the whole batch: the sum over devices is then the mean.
            return token_loss_sum(logits, arrays.labels) / jnp.maximum(num_labels, 1)

        loss_and_grads = jax.value_and_grad(mean_loss)
        if parts == 1:
            loss, grads = loss_and_grads(params, arrays, rows)
        else:
            split = jax.tree.map(partial(_in_parts, parts=parts, shards=shards), (arrays, rows))
            found = jax.eval_shape(loss_and_grads, params, *jax.tree.map(lambda x: x[0], split))
            zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), found)
            (loss, grads), _ = lax.scan(
                lambda sums, part: (jax.tree.map(jnp.add, sums, loss_and_grads(params, *part)), None), zeros, split
            )
        return StepMetrics(total(loss) * num_labels, num_labels), jax.tree.map(total, grads)

    return gradients


def _in_parts(array: Array, parts: int, shards: int) -> Array:
    """``[rows, …]`` as ``[parts, rows / parts, …]``, where each part has its share of the rows of every shard."""
    split = array.reshape(shards, parts, -1, *array.shape[1:])
    return split.swapaxes(0, 1).reshape(parts, -1, *array.shape[1:])


def make_step(
    graphdef: nnx.GraphDef[HybridNER], options: Options, axis_name: str | None, shards: int = 1
) -> Callable[..., tuple[State, StepMetrics]]:
    """The training step, a pure function to be compiled.

    Args:
        graphdef: the model without its parameters.
        options: betas and epsilon are AdamW's defaults; decay, clipping, parts, averaging, and whether a step that is
            not finite is skipped, come from here.
        axis_name: as for :func:`make_gradients`.
        shards: as for :func:`make_gradients`.

    Returns:
        ``step(state, arrays, key, learning_rate) -> (state, metrics)``.
    """
    adam = optax.scale_by_adam(*ADAM_BETAS, eps=ADAM_EPS)
    gradients = make_gradients(graphdef, axis_name, options.devices.accumulate, shards)
    skips = options.run.on_nonfinite == "skip"

    def step(
        state: State, arrays: BatchArrays, key: UInt32[Array, "2"], learning_rate: Float[Array, ""]
    ) -> tuple[State, StepMetrics]:
        metrics, grads = gradients(state.params, arrays, key)
        finite = jnp.isfinite(optax.tree.norm(grads)) & jnp.isfinite(metrics.loss_sum) if skips else None
        if options.optimization.clip_norm is not None:
            scale = jnp.minimum(1, options.optimization.clip_norm / (optax.tree.norm(grads) + CLIP_EPS))
            grads = jax.tree.map(lambda g: g * scale, grads)

        def unless_skipped(new: Array, old: Array | float) -> Array:
            return new if finite is None else jnp.where(finite, new, old)

        # Compiled within jit, this is traced once for each shape of parameters, not once for each parameter.
        @jax.jit
        def moved(p: Array, grad: Array, mu: Array, nu: Array) -> tuple[Array, Array, Array]:
            update, (_, new_mu, new_nu) = adam.update(grad, optax.ScaleByAdamState(state.adam.count, mu, nu))
            new = (p - learning_rate.astype(p.dtype) * (update + options.optimization.weight_decay * p)).astype(p.dtype)
            return unless_skipped(new, p), unless_skipped(new_mu, mu), unless_skipped(new_nu, nu)

        leaves, structure = jax.tree.flatten(state.params)
        others = (jax.tree.leaves(tree) for tree in (grads, state.adam.mu, state.adam.nu))
        parts = zip(*map(moved, leaves, *others), strict=True)
        params, mu, nu = (jax.tree.unflatten(structure, part) for part in parts)
        count = unless_skipped(optax.safe_increment(state.adam.count), state.adam.count)
        adam_state = optax.ScaleByAdamState(count, mu, nu)
        metrics = metrics._replace(loss_sum=unless_skipped(metrics.loss_sum, jnp.nan))
        if options.optimization.average is None:
            return State(params, adam_state, None), metrics
        largest = options.optimization.average

        def averaged(a: Array, p: Array) -> Array:
            done = adam_state.count.astype(a.dtype)
            return unless_skipped(a + (1 - jnp.minimum(largest, (1 + done) / (10 + done))) * (p - a), a)

        return State(params, adam_state, jax.tree.map(averaged, state.average, params)), metrics

    return step


def make_predict(graphdef: nnx.GraphDef[HybridNER]) -> Callable[..., Float[Array, "rows length num_labels"]]:
    """``predict(params, arrays) -> logits``, a pure function to be compiled."""

    def predict(params: nnx.State, arrays: BatchArrays) -> Float[Array, "rows length num_labels"]:
        logits = nnx.merge(graphdef, params)(arrays.input_ids, arrays.attention_mask)
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    return predict


def make_activations(graphdef: nnx.GraphDef[HybridNER]) -> Callable[..., dict[str, Array]]:
    """``activations(params, arrays) -> {place: what comes out of it}``, a pure function to be compiled."""

    def activations(params: nnx.State, arrays: BatchArrays) -> dict[str, Array]:
        return dict(nnx.merge(graphdef, params).activations(arrays.input_ids, arrays.attention_mask))

    return activations


class Learner:
    """The Flax twin in training or in use; see :class:`hybridner.model.learner.Learner`."""

    @staticmethod
    def join(options: Options) -> int:
        """Join the other processes, if there are any, and return this one's rank."""
        if options.devices.deterministic:
            compute_deterministically(options.devices.device)
        return parallel.join(options)

    def __init__(self, config: ModelConfig, options: Options) -> None:
        keep_compiled_programs()
        self.config, self.options = config, options
        self._parallel = parallel.choose(options)
        self._x64 = options.devices.dtype == "float64"
        devices = parallel.find_devices(options.devices.device, options.devices.num_devices)
        self._first_device = next(d for d in devices if d.process_index == jax.process_index())
        num_devices = self._parallel.num_devices
        self.row_multiple = num_devices * options.devices.accumulate
        count = f"{num_devices} × " if num_devices > 1 else ""
        self.spread = _SPREADS[type(self._parallel)]
        self.device = f"{count}{devices[0].device_kind}"
        self.rank, self.world_size = jax.process_index(), jax.process_count()
        with self._precision():
            param_dtype = jnp.float64 if self._x64 else jnp.float32
            model = HybridNER(
                config, seed=options.optimization.seed, dtype=jnp.dtype(options.devices.dtype), param_dtype=param_dtype
            )
            graphdef, self._like = nnx.split(model, nnx.Param)
        compiled, axis_name = self._parallel.compile, self._parallel.axis_name
        shards = num_devices if axis_name is None else 1
        self._step = compiled(make_step(graphdef, options, axis_name, shards), "state", 2)
        self._predict = compiled(make_predict(graphdef), "rows")
        self._gradients = compiled(make_gradients(graphdef, axis_name, options.devices.accumulate, shards), "same", 1)
        self._activations = compiled(make_activations(graphdef), "rows")
        # A CPU computes no faster with a second step waiting, which would hold the memory of its buffers meanwhile.
        self._one_at_a_time = devices[0].platform == "cpu"
        # XLA computes what one thread hands over one after the other.
        self.num_lanes = 2 if self._one_at_a_time and type(self._parallel) is parallel.Jit else 1
        self.state: State
        self._steps_done = 0

    def init(self, weights: Weights) -> None:
        """Start from canonical ``weights`` with an optimizer that has done no step."""
        zeros = {name: np.zeros_like(value) for name, value in weights.items()}
        self.restore(TrainingState(weights, zeros, zeros, 0))

    def step(self, batch: Batch, learning_rate: float) -> StepMetrics:
        """One AdamW step on a global batch; does not wait for the device."""
        key, rate = (
            step_key(self.options.optimization.seed, self._steps_done),
            np.asarray(learning_rate, self._like_dtype),
        )
        with self._precision():
            arrays = self._arrays(batch)
            if self._one_at_a_time:
                jax.block_until_ready(self.state.adam.count)
            self.state, metrics = self._step(self.state, arrays, key, rate)
        self._steps_done += 1
        return metrics

    def predict(self, batch: Batch) -> Array:
        """Logits ``[rows, length, num_labels]`` on the device; does not wait for it."""
        with self._precision():
            return self._predict(self._judged, self._arrays(batch))

    def gradients(self, batch: Batch) -> tuple[float, Weights]:
        """The mean loss of a global batch and its gradient, with the dropout of the step that comes next."""
        with self._precision():
            key = step_key(self.options.optimization.seed, self._steps_done)
            metrics, grads = self._gradients(self.state.params, self._arrays(batch), key)
        return float(metrics.loss_sum) / max(int(metrics.num_labels), 1), to_canonical(grads)

    def activations(self, batch: Batch) -> dict[str, np.ndarray]:
        """What comes out of each part of the model, ``[rows, length, …]``, in order, without dropout."""
        with self._precision():
            found = self._activations(self._judged, self._arrays(batch))
        # A compiled function hands a dict back sorted by name.
        layers = [f"layers.{i}" for i in range(self.config.encoder.num_layers)]
        places = ["embedding", *layers, *(["lstm"] if self.config.lstm is not None else []), "classifier"]
        return {name: self._parallel.gather(found[name]) for name in places}

    def gather(self, logits: Array) -> Float[np.ndarray, "rows length num_labels"]:
        """What :meth:`predict` gave, as numpy."""
        return self._parallel.gather(logits)

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.world_size > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("hybridner")

    def agree(self, number: int) -> int:
        """The largest ``number`` of any process."""
        if self.world_size == 1:
            return number
        from jax.experimental import multihost_utils

        return int(multihost_utils.process_allgather(np.int32(number)).max())

    def peak_memory(self) -> int | None:
        """Most bytes of the device's memory in use at any time, None where that is not counted."""
        return (self._first_device.memory_stats() or {}).get("peak_bytes_in_use")

    def weights(self) -> Weights:
        """What the model is judged by, as canonical weights: the average of the parameters, or they themselves."""
        return to_canonical(self._parallel.unreplicate(self._judged))

    def snapshot(self) -> TrainingState:
        """The training state under canonical names, as numpy arrays."""
        state = self._parallel.unreplicate(self.state)
        moments = to_canonical(state.adam.mu), to_canonical(state.adam.nu)
        average = None if state.average is None else to_canonical(state.average)
        skipped = self._steps_done - int(state.adam.count)
        return TrainingState(to_canonical(state.params), *moments, self._steps_done, average, skipped)

    def restore(self, state: TrainingState) -> None:
        """Go on from ``state``."""
        with self._precision():
            params, mu, nu = (from_canonical(w, self._like) for w in (state.weights, state.exp_avg, state.exp_avg_sq))
            count = jnp.asarray(state.step - state.skipped, jnp.int32)
            # Arrays of its own, even where the parameters are its beginning: a step takes over the memory of both.
            kept = (
                None
                if self.options.optimization.average is None
                else from_canonical(state.average or state.weights, self._like)
            )
            self.state = self._parallel.replicate(State(params, optax.ScaleByAdamState(count, mu, nu), kept))
        self._steps_done = state.step

    @property
    def _judged(self) -> nnx.State:
        return self.state.params if self.state.average is None else self.state.average

    @property
    def _like_dtype(self) -> np.dtype[Any]:
        return np.dtype("float64" if self._x64 else "float32")

    def _arrays(self, batch: Batch) -> BatchArrays:
        shard = self._parallel.shard
        batch = batch.take_part(self.rank, self.world_size)
        return BatchArrays(shard(batch.input_ids), shard(batch.attention_mask), shard(batch.labels))

    def _precision(self) -> AbstractContextManager[Any]:
        return jax.enable_x64(self._x64)
