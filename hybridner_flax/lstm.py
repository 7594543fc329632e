"""The recurrence: a ``lax.scan`` with nothing in it but the recurrent matmul, forward and backward.

Gates stand in the order input, forget, cell, output (i, f, g, o), each ``hidden_size`` wide:

    i, f, o = sigmoid(·), g = tanh(·),   c = f * c + i * g,   h = o * tanh(c)

Differentiating the scan would take the weight gradient as one small matmul a step. The rule written here scans back
over the gates' gradients alone and takes the weight gradient in one matmul afterwards.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

Gates = Float[Array, "length batch gates"]
States = Float[Array, "length batch hidden"]


@jax.custom_vjp
def lstm_scan(gates_x: Gates, kernel: Float[Array, "hidden gates"], starts: Bool[Array, "length batch"]) -> States:
    """Run the LSTM from left to right.

    Args:
        gates_x: what input and biases give to the gates, time first, ``[length, batch, 4 * hidden]``.
        kernel: the recurrent weight, ``[hidden, 4 * hidden]``.
        starts: where a sentence starts; the state before it is zero.

    Returns:
        The hidden states ``h``, ``[length, batch, hidden]``, in float32 or wider: the state is kept there under
        bfloat16 matmuls too.
    """
    return _forward(gates_x, kernel, starts)[0]


def _state_dtype(gates_x: Gates) -> jnp.dtype:
    return jnp.promote_types(gates_x.dtype, jnp.float32)


def _forward(gates_x: Gates, kernel: Array, starts: Array) -> tuple[States, tuple[Array, ...]]:
    dtype = _state_dtype(gates_x)
    keep = ~starts[:, :, None]

    def step(carry: tuple[Array, Array], xs: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        h, c = carry
        gate_x, keep_t = xs
        h, c = jnp.where(keep_t, h, 0), jnp.where(keep_t, c, 0)
        gates = gate_x.astype(dtype) + jnp.dot(h.astype(kernel.dtype), kernel, preferred_element_type=dtype)
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate((i, f, g, o), axis=-1))

    # Zeros made from the input: under shard_map a constant would not vary over devices as the carry does.
    zeros = jnp.zeros_like(gates_x[0, :, : kernel.shape[0]], dtype)
    _, (hs, cs, gates) = lax.scan(step, (zeros, zeros), (gates_x, keep))
    return hs, (hs, cs, gates)


def _lstm_fwd(gates_x: Gates, kernel: Array, starts: Array) -> tuple[States, tuple[Array, ...]]:
    hs, states = _forward(gates_x, kernel, starts)
    return hs, (*states, kernel, starts, jnp.zeros((), gates_x.dtype))


def _lstm_bwd(residuals: tuple[Array, ...], dhs: States) -> tuple[Gates, Array, None]:
    hs, cs, gates, kernel, starts, like_gates_x = residuals
    dtype = hs.dtype
    keep = ~starts[:, :, None]
    # The states that enter each step; the rows that start a sentence are zeroed by keep.
    shift = lambda states: jnp.concatenate((jnp.zeros_like(states[:1]), states[:-1]))  # noqa: E731
    hs_in, cs_in = jnp.where(keep, shift(hs), 0), jnp.where(keep, shift(cs), 0)

    def step(carry: tuple[Array, Array], xs: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        dh, dc = carry
        dh_out, c, c_in, gate, keep_t = xs
        i, f, g, o = jnp.split(gate, 4, axis=-1)
        tanh_c = jnp.tanh(c)
        dh = dh + dh_out
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        dgate = jnp.concatenate(
            (dc * g * i * (1 - i), dc * c_in * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)),
            axis=-1,
        )
        dh_in = jnp.dot(dgate.astype(kernel.dtype), kernel.T, preferred_element_type=dtype)
        return (jnp.where(keep_t, dh_in, 0), jnp.where(keep_t, dc * f, 0)), dgate

    zeros = jnp.zeros_like(hs[0])
    _, dgates = lax.scan(step, (zeros, zeros), (dhs, cs, cs_in, gates, keep), reverse=True)
    dkernel = jnp.einsum(
        "tbh,tbg->hg", hs_in.astype(kernel.dtype), dgates.astype(kernel.dtype), preferred_element_type=dtype
    )
    return dgates.astype(like_gates_x.dtype), dkernel.astype(kernel.dtype), None


lstm_scan.defvjp(_lstm_fwd, _lstm_bwd)
