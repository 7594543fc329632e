"""The recurrence: a ``lax.scan`` around the recurrent matmul, with a backward pass of ours.

The gates are in the order input, forget, cell, output (i, f, g, o), each ``hidden_size`` wide:

    i, f, o = sigmoid(·), g = tanh(·),   c = f * c + i * g,   h = o * tanh(c)

Differentiating the scan would compute the weight gradient in one small matmul per step. The rule here scans back
over the gradients of the gates only and then computes the weight gradient in one matmul.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import LSTM_SITES
from hybridner_flax.dropout import DropoutStream, dropout
from hybridner_flax.layers import Hidden, bias_of, make_linear

Gates = Float[Array, "length batch gates"]
LSTMOutput = Float[Array, "batch length lstm_output"]
States = Float[Array, "length batch hidden"]


class LSTM(nnx.Module):
    """One LSTM layer in one or both directions, each with two biased linear maps; states restart with each sentence."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        assert config.lstm is not None
        width, size = config.encoder.hidden_size, config.lstm_size
        self.config = config.lstm
        self.linear_ih = make_linear(width, 4 * size, **types)
        self.linear_hh = make_linear(size, 4 * size, **types)
        if self.config.direction == "bidirectional":
            self.reverse_linear_ih = make_linear(width, 4 * size, **types)
            self.reverse_linear_hh = make_linear(size, 4 * size, **types)

    def __call__(self, x: Hidden, starts: Bool[Array, "batch length"], stream: DropoutStream | None) -> LSTMOutput:
        x = dropout(x, self.config.input_dropout, LSTM_SITES, stream)
        time_first = jnp.swapaxes(x, 0, 1)  # transpose before the projection makes it four times as wide
        states = [_run(self.linear_ih, self.linear_hh, time_first, starts.T)]
        if self.config.direction == "bidirectional":
            ends = jnp.concatenate((starts[:, 1:], jnp.ones_like(starts[:, :1])), axis=1)
            reverse = self.reverse_linear_ih, self.reverse_linear_hh
            states.append(jnp.flip(_run(*reverse, jnp.flip(time_first, 0), jnp.flip(ends.T, 0)), 0))
        hs = jnp.swapaxes(jnp.concatenate(states, axis=-1), 0, 1).astype(x.dtype)
        return jnp.concatenate((hs, x), axis=-1) if self.config.joins_input else hs


def _run(
    linear_ih: nnx.Linear,
    linear_hh: nnx.Linear,
    x: Float[Array, "length batch width"],
    starts: Bool[Array, "length batch"],
) -> States:
    gates_x = linear_ih(x) + bias_of(linear_hh).astype(x.dtype)
    return lstm_scan(gates_x, linear_hh.kernel[...].astype(x.dtype), starts)


@jax.custom_vjp
def lstm_scan(gates_x: Gates, kernel: Float[Array, "hidden gates"], starts: Bool[Array, "length batch"]) -> States:
    """Run the LSTM from left to right.

    Args:
        gates_x: contribution of input and biases to the gates, time first, ``[length, batch, 4 * hidden]``.
        kernel: the recurrent weight, ``[hidden, 4 * hidden]``.
        starts: True where a sentence starts; the state before it is zero.

    Returns:
        The hidden states ``h``, ``[length, batch, hidden]``, in float32 or wider, even if the matmuls are in
        bfloat16.
    """
    return _scan(gates_x, kernel, starts, lambda h, c, gates: h)


# PyTorch groups the next three in one autograd Function, ``_Scan``.
def _scan(gates_x: Gates, kernel: Array, starts: Array, kept: Callable[[Array, Array, Array], Any]) -> Any:
    """Collect ``kept(h, c, gates)`` of each step, time first."""
    dtype = jnp.promote_types(gates_x.dtype, jnp.float32)
    keep = ~starts[:, :, None]

    # All four gates in one pass: sigmoid(z) is (tanh(z / 2) + 1) / 2.
    hidden = kernel.shape[0]
    half = jnp.repeat(jnp.array((0.5, 0.5, 1, 0.5), dtype), hidden)

    def step(carry: tuple[Array, Array], xs: tuple[Array, Array]) -> tuple[tuple[Array, Array], Any]:
        h, c = carry
        gate_x, keep_t = xs
        h = jnp.where(keep_t, h, 0)
        z = gate_x.astype(dtype) + jnp.dot(h.astype(kernel.dtype), kernel, preferred_element_type=dtype)
        gates = half * jnp.tanh(half * z) + (1 - half)
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = f * jnp.where(keep_t, c, 0) + i * g
        h = o * jnp.tanh(c)
        return (h, c), kept(h, c, gates)

    # Make the zeros from the input: under shard_map a constant would not vary over devices as the carry does.
    zeros = jnp.zeros_like(gates_x[0, :, :hidden], dtype)
    return lax.scan(step, (zeros, zeros), (gates_x, keep))[1]


def _lstm_fwd(gates_x: Gates, kernel: Array, starts: Array) -> tuple[States, tuple[Array, ...]]:
    cs, gates = _scan(gates_x, kernel, starts, lambda h, c, gates: (c, gates))
    hs = gates[..., 3 * kernel.shape[0] :] * jnp.tanh(cs)
    return hs, (hs, cs, gates, kernel, starts, jnp.zeros((), gates_x.dtype))


def _lstm_bwd(residuals: tuple[Array, ...], dhs: States) -> tuple[Gates, Array, None]:
    hs, cs, gates, kernel, starts, like_gates_x = residuals
    dtype = hs.dtype
    keep = ~starts[:, :, None]
    # The states that enter each step; keep zeroes the rows that start a sentence.
    shift = lambda states: jnp.concatenate((jnp.zeros_like(states[:1]), states[:-1]))  # noqa: E731
    hs_in, cs_in = jnp.where(keep, shift(hs), 0), jnp.where(keep, shift(cs), 0)

    # Compute everything that does not depend on the incoming gradient for all steps at once.
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    tanh_c = jnp.tanh(cs)
    dc_dh, do_dh = o * (1 - tanh_c * tanh_c), tanh_c * o * (1 - o)
    dgate_dc = jnp.concatenate((g * i * (1 - i), cs_in * f * (1 - f), i * (1 - g * g)), axis=-1)
    keep_f, kernel_t = f * keep, kernel.T

    def step(carry: tuple[Array, Array], xs: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        dh, dc = carry
        dh_out, dc_dh_t, do_dh_t, dgate_dc_t, keep_f_t, keep_t = xs
        dh = dh + dh_out
        dc = dc + dh * dc_dh_t
        dgate = jnp.concatenate((jnp.concatenate((dc, dc, dc), axis=-1) * dgate_dc_t, dh * do_dh_t), axis=-1)
        dh_in = jnp.dot(dgate.astype(kernel.dtype), kernel_t, preferred_element_type=dtype)
        return (jnp.where(keep_t, dh_in, 0), dc * keep_f_t), dgate

    zeros = jnp.zeros_like(hs[0])
    xs = (dhs, dc_dh, do_dh, dgate_dc, keep_f, keep)
    _, dgates = lax.scan(step, (zeros, zeros), xs, reverse=True)
    flat = (x.reshape(-1, x.shape[-1]).astype(kernel.dtype) for x in (hs_in, dgates))
    dkernel = jnp.einsum("nh,ng->hg", *flat, preferred_element_type=dtype)
    return dgates.astype(like_gates_x.dtype), dkernel.astype(kernel.dtype), None


lstm_scan.defvjp(_lstm_fwd, _lstm_bwd)
