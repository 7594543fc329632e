"""A linear map whose weight gradient is laid out for the CPU."""

from typing import Any

import jax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

Inputs = Float[Array, "... in_features"]
Outputs = Float[Array, "... out_features"]
Kernel = Float[Array, "in_features out_features"]


@jax.custom_vjp
def linear(x: Inputs, kernel: Kernel, bias: Float[Array, "out_features"]) -> Outputs:
    """``x @ kernel + bias``, all of one dtype."""
    return x @ kernel + bias


def _linear_fwd(x: Inputs, kernel: Kernel, bias: Array) -> tuple[Outputs, tuple[Array, Array]]:
    return linear(x, kernel, bias), (x, kernel)


def _linear_bwd(residuals: tuple[Array, Array], dy: Outputs) -> tuple[Inputs, Kernel, Array]:
    x, kernel = residuals
    flat_x, flat_dy = (a.reshape(-1, a.shape[-1]) for a in (x, dy))
    dkernel = lax.platform_dependent(flat_x, flat_dy, cpu=_kernel_gradient_on_cpu, default=_kernel_gradient)
    return (flat_dy @ kernel.T).reshape(x.shape), dkernel, flat_dy.sum(0)


def _kernel_gradient(x: Float[Array, "rows in_features"], dy: Float[Array, "rows out_features"]) -> Kernel:
    return x.T @ dy


def _kernel_gradient_on_cpu(x: Float[Array, "rows in_features"], dy: Float[Array, "rows out_features"]) -> Kernel:
    # XLA's matmul for CPUs reads a first operand that lies the other way round without a copy, and does so faster where
    # that is the narrower one. Without the barrier it would turn the second product back into the first.
    if x.shape[-1] <= dy.shape[-1]:
        return x.T @ dy
    return lax.optimization_barrier(dy.T @ x).T


linear.defvjp(_linear_fwd, _linear_bwd)


class Linear(nnx.Linear):
    """``nnx.Linear`` with a bias, computed by :func:`linear`."""

    def __call__(self, inputs: Inputs, out_sharding: Any = None) -> Outputs:
        """Map the last axis."""
        assert self.bias is not None
        kernel, bias = (p[...].astype(self.dtype) for p in (self.kernel, self.bias))
        return linear(inputs.astype(self.dtype), kernel, bias)
