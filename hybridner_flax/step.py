"""Loss, gradients, AdamW and prediction in Flax, as pure functions to compile for each batch shape."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Float32, Int, Int32, UInt32

from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.config.options import OptimizationOptions, Options
from hybridner.model.learner import ADAM_BETA1, ADAM_EPS, CLIP_EPS
from hybridner.model.parts import decays, rows
from hybridner_flax.canonical import canonical_name
from hybridner_flax.crf import find_chains
from hybridner_flax.dropout import DropoutStream
from hybridner_flax.model import HybridNER


class BatchArrays(NamedTuple):
    """The arrays of a batch that go to the device; ``vectors`` is None if the model reads none."""

    input_ids: Int32[Array, "rows length *features"]
    attention_mask: Int32[Array, "rows length"]
    labels: Int32[Array, "rows length"]
    vectors: Float32[Array, "rows length vector_size"] | None = None


class StepMetrics(NamedTuple):
    """Sums over the global batch, on the device; a skipped step has the loss NaN."""

    loss_sum: Float[Array, ""]
    num_labels: Int[Array, ""]


def token_loss_sum(
    logits: Float[Array, "rows length num_labels"], labels: Int[Array, "rows length"]
) -> Float[Array, ""]:
    """Sum the cross-entropies of the labelled pieces, in float32 or wider."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    labelled = labels != IGNORED
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(labelled, labels, 0))
    return jnp.sum(jnp.where(labelled, losses, 0))


def sum_losses(
    model: HybridNER, logits: Float[Array, "rows length num_labels"], arrays: BatchArrays
) -> Float[Array, ""]:
    """Sum the losses of the words, or of the sentences if the head is a CRF."""
    if model.config.head.kind == "crf":
        return model.crf(logits, arrays.labels, arrays.attention_mask)
    return token_loss_sum(logits, arrays.labels)


def num_losses(config: ModelConfig, arrays: BatchArrays) -> Int[Array, ""]:
    """Count the terms of :func:`sum_losses`: labelled words, or sentences that have some."""
    if config.head.kind == "crf":
        return jnp.sum(find_chains(arrays.labels, arrays.attention_mask).first)
    return jnp.sum(arrays.labels != IGNORED)


# The rest is Flax's: in PyTorch the Learner changes parameters and moments in place.
class State(NamedTuple):
    """The arrays that a step updates, on the device: parameters, moments, update count, average if there is one."""

    params: nnx.State
    adam: optax.ScaleByAdamState
    average: nnx.State | None


def make_gradients(
    graphdef: nnx.GraphDef[HybridNER], axis_name: str | None, parts: int = 1, shards: int = 1
) -> Callable[..., Any]:
    """Make the pure function that computes the loss and gradients of a batch.

    Args:
        graphdef: the model without its parameters.
        axis_name: device axis to sum over, if the function runs once on each device.
        parts: number of parts to compute the rows in, one after the other, to save memory.
        shards: number of devices that the compiler spreads the rows over; each has its share of every part.

    Returns:
        ``gradients(params, arrays, key) -> (metrics, grads)``; the loss is the mean over the global batch's labels.
    """
    total = (lambda x: lax.psum(x, axis_name)) if axis_name else (lambda x: x)

    def gradients(params: nnx.State, arrays: BatchArrays, key: UInt32[Array, "2"]) -> tuple[StepMetrics, nnx.State]:
        num_rows = arrays.labels.shape[0]
        rows = jnp.arange(num_rows) + (lax.axis_index(axis_name) * num_rows if axis_name else 0)
        num_labels = total(num_losses(nnx.merge(graphdef, params).config, arrays))

        def mean_loss(params: nnx.State, arrays: BatchArrays, rows: Int[Array, "rows"]) -> Float[Array, ""]:
            model = nnx.merge(graphdef, params)
            logits = model(arrays.input_ids, arrays.attention_mask, DropoutStream(key, rows), arrays.vectors)
            # Divide by the number of losses in the whole batch: the sum over devices is then the mean.
            return sum_losses(model, logits, arrays) / jnp.maximum(num_labels, 1)

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
    """Reshape ``[rows, …]`` to ``[parts, rows / parts, …]``; each part has its share of the rows of every shard."""
    split = array.reshape(shards, parts, -1, *array.shape[1:])
    return split.swapaxes(0, 1).reshape(parts, -1, *array.shape[1:])


def make_step(
    graphdef: nnx.GraphDef[HybridNER], options: Options, axis_name: str | None, shards: int = 1
) -> Callable[..., tuple[State, StepMetrics]]:
    """Make the pure function that does one training step.

    Args:
        graphdef: the model without its parameters.
        options: weight decay, clipping, parts, averaging, and the treatment of steps that are not finite.
        axis_name: as for :func:`make_gradients`.
        shards: as for :func:`make_gradients`.

    Returns:
        ``step(state, arrays, key, learning_rate) -> (state, metrics)``.
    """
    adam = optax.scale_by_adam(ADAM_BETA1, options.optimization.beta2, eps=ADAM_EPS)
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

        # A jitted function is traced once for each shape of parameters instead of once for each parameter.
        @partial(jax.jit, static_argnums=4)
        def moved(p: Array, grad: Array, mu: Array, nu: Array, decay: float) -> tuple[Array, Array, Array]:
            update, (_, new_mu, new_nu) = adam.update(grad, optax.ScaleByAdamState(state.adam.count, mu, nu))
            new = (p - learning_rate.astype(p.dtype) * (update + decay * p)).astype(p.dtype)
            return unless_skipped(new, p), unless_skipped(new_mu, mu), unless_skipped(new_nu, nu)

        leaves, structure = jax.tree.flatten(state.params)
        decay = _decay_of(state.params, nnx.merge(graphdef, state.params).config, options.optimization)
        others = (jax.tree.leaves(tree) for tree in (grads, state.adam.mu, state.adam.nu))
        parts = zip(*map(moved, leaves, *others, decay), strict=True)
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


def _decay_of(params: nnx.State, config: ModelConfig, options: OptimizationOptions) -> list[float]:
    """List the weight decay of each parameter, in the order of the tree."""
    kinds = {row.name: row.kind for row in rows(config)}
    names = [canonical_name(path) for path, _ in nnx.to_flat_state(params)]
    return [options.weight_decay if decays(kinds[name], options) else 0.0 for name in names]


def make_predict(graphdef: nnx.GraphDef[HybridNER]) -> Callable[..., Float[Array, "rows length num_labels"]]:
    """Make the pure function ``predict(params, arrays) -> logits``."""

    def predict(params: nnx.State, arrays: BatchArrays) -> Float[Array, "rows length num_labels"]:
        model = nnx.merge(graphdef, params)
        logits = model(arrays.input_ids, arrays.attention_mask, vectors=arrays.vectors)
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))

    return predict


def make_activations(graphdef: nnx.GraphDef[HybridNER]) -> Callable[..., dict[str, Array]]:
    """Make the pure function ``activations(params, arrays) -> {place: its output}``."""

    def activations(params: nnx.State, arrays: BatchArrays) -> dict[str, Array]:
        model = nnx.merge(graphdef, params)
        return dict(model.activations(arrays.input_ids, arrays.attention_mask, vectors=arrays.vectors))

    return activations
