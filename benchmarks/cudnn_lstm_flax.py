"""cuDNN's LSTM in the place of the Flax twin's scan, with the twin's own parameters; float32 on a GPU only.

Each run of a row between two starts becomes a sequence of its own, in a rectangle whose shape follows from that of
the batch, so that nothing is compiled for a batch's longest sentence. Padding at the end of a row is a run too.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.experimental import rnn
from jaxtyping import Array, Bool, Float, Int

from hybridner_flax.layers import Hidden
from hybridner_flax.lstm import LSTM

# As ``jax.experimental.rnn.lstm``: x, h_0, c_0, weights, sequence lengths, input size, hidden size, layers, dropout,
# whether it goes both ways.
CudnnCall = Callable[..., tuple[Array, Array, Array]]


def places_of(
    starts: Bool[Array, "batch length"], most: int
) -> tuple[Int[Array, "pieces"], Int[Array, "pieces"], Int[Array, "most"]]:
    """The run and the step within it of each place of the rows one after the other, and the runs' lengths.

    Args:
        starts: where a run starts; each row starts one.
        most: there are no more runs than these; the length of those that there are not is 0.
    """
    flat = starts.ravel()
    run = jnp.cumsum(flat) - 1
    firsts = jnp.flatnonzero(flat, size=most, fill_value=flat.size)
    lengths = jnp.diff(firsts, append=flat.size)
    return run, jnp.arange(flat.size) - firsts[run], lengths


def call_by_cudnn(num_sentences: int, lstm: CudnnCall = rnn.lstm) -> Callable[[LSTM, Hidden, Array], Hidden]:
    """What stands for the twin's ``LSTM.__call__`` where batches hold at most ``num_sentences``."""

    def call(self: LSTM, x: Hidden, starts: Bool[Array, "batch length"]) -> Hidden:
        batch, length, hidden = x.shape
        most = num_sentences + batch  # at the end of each row there may be padding
        run, step, lengths = places_of(starts, most)
        filled = (
            jnp.zeros((most, length, hidden), x.dtype).at[run, step].set(x.reshape(-1, hidden), unique_indices=True)
        )
        zero = jnp.zeros((1, most, hidden), x.dtype)
        sizes = jnp.maximum(lengths, 1).astype(jnp.int32)
        ys, _, _ = lstm(filled, zero, zero, _weights(self), sizes, hidden, hidden, 1, 0.0, False)
        return ys[run, step].reshape(x.shape)

    return call


def _weights(lstm: LSTM) -> Float[Array, "num_weights"]:
    linears = (lstm.linear_ih, lstm.linear_hh)
    parts = [
        *(linear.kernel[...].T for linear in linears),
        *(linear.bias[...] for linear in linears if linear.bias is not None),
    ]
    return jnp.concatenate([part.ravel() for part in parts])
