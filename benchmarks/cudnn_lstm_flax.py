"""cuDNN's LSTM instead of our Flax scan, with the same parameters; float32 on a GPU only.

Each run of a row between two starts becomes a separate sequence, in a rectangle whose shape follows from the batch's
shape, so a batch's longest sentence triggers no compilation. Padding at the end of a row is a run too.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax.experimental import rnn
from jaxtyping import Array, Bool, Float, Int

from hybridner_flax.dropout import DropoutStream
from hybridner_flax.layers import Hidden
from hybridner_flax.lstm import LSTM

# As ``jax.experimental.rnn.lstm``: x, h_0, c_0, weights, sequence lengths, input size, hidden size, layers, dropout,
# bidirectional or not.
CudnnCall = Callable[..., tuple[Array, Array, Array]]


def places_of(
    starts: Bool[Array, "batch length"], most: int
) -> tuple[Int[Array, "pieces"], Int[Array, "pieces"], Int[Array, "most"]]:
    """Return each place's run and its step within the run, for the concatenated rows, and the runs' lengths.

    Args:
        starts: true where a run starts; each row starts one.
        most: an upper bound of the number of runs; missing runs have length 0.
    """
    flat = starts.ravel()
    run = jnp.cumsum(flat) - 1
    firsts = jnp.flatnonzero(flat, size=most, fill_value=flat.size)
    lengths = jnp.diff(firsts, append=flat.size)
    return run, jnp.arange(flat.size) - firsts[run], lengths


def call_by_cudnn(
    num_sentences: int, lstm: CudnnCall = rnn.lstm
) -> Callable[[LSTM, Hidden, Array, DropoutStream | None], Hidden]:
    """Make a substitute for ``LSTM.__call__`` for batches of at most ``num_sentences``."""

    def call(self: LSTM, x: Hidden, starts: Bool[Array, "batch length"], stream: DropoutStream | None) -> Hidden:
        batch, length, hidden = x.shape
        most = num_sentences + batch  # each row may end with padding
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
