"""The recurrence: a loop around the recurrent matmul, with a backward pass of ours.

The gates are in the order input, forget, cell, output (i, f, g, o), each ``hidden_size`` wide:

    i, f, o = sigmoid(·), g = tanh(·),   c = f * c + i * g,   h = o * tanh(c)

Autograd through the loop would compute the weight gradient in one small matmul per step. The rule here loops back
over the gradients of the gates only and then computes the weight gradient in one matmul.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hybridner.config.model import ModelConfig
from hybridner.model.dropout import LSTM_SITES
from hybridner_torch.dropout import DropoutStream, dropout
from hybridner_torch.layers import Hidden, Linear

Gates = Float[Tensor, "length batch gates"]
LSTMOutput = Float[Tensor, "batch length lstm_output"]
States = Float[Tensor, "length batch hidden"]


class LSTM(nn.Module):
    """One LSTM layer in one or both directions, each with two biased linear maps; states restart with each sentence."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.lstm is not None
        width, size = config.encoder.hidden_size, config.lstm_size
        self.config = config.lstm
        self.linear_ih = Linear(width, 4 * size)
        self.linear_hh = Linear(size, 4 * size)
        if self.config.direction == "bidirectional":
            self.reverse_linear_ih = Linear(width, 4 * size)
            self.reverse_linear_hh = Linear(size, 4 * size)

    def forward(self, x: Hidden, starts: Bool[Tensor, "batch length"], stream: DropoutStream | None) -> LSTMOutput:
        x = dropout(x, self.config.input_dropout, LSTM_SITES, stream)
        time_first = x.transpose(0, 1)  # transpose before the projection makes it four times as wide
        states = [_run(self.linear_ih, self.linear_hh, time_first, starts.t())]
        if self.config.direction == "bidirectional":
            ends = torch.cat((starts[:, 1:], torch.ones_like(starts[:, :1])), dim=1)
            reverse = self.reverse_linear_ih, self.reverse_linear_hh
            states.append(_run(*reverse, time_first.flip(0), ends.t().flip(0)).flip(0))
        hs = torch.cat(states, dim=-1).transpose(0, 1).to(x.dtype)
        return torch.cat((hs, x), dim=-1) if self.config.joins_input else hs


def _run(
    linear_ih: Linear,
    linear_hh: Linear,
    x: Float[Tensor, "length batch width"],
    starts: Bool[Tensor, "length batch"],
) -> States:
    gates_x = F.linear(x, linear_ih.weight, linear_ih.bias + linear_hh.bias)
    return lstm_scan(gates_x, linear_hh.weight.to(gates_x.dtype), starts)


def lstm_scan(gates_x: Gates, weight: Float[Tensor, "gates hidden"], starts: Bool[Tensor, "length batch"]) -> States:
    """Run the LSTM from left to right.

    Args:
        gates_x: contribution of input and biases to the gates, time first, ``[length, batch, 4 * hidden]``.
        weight: the recurrent weight, ``[4 * hidden, hidden]``.
        starts: True where a sentence starts; the state before it is zero.

    Returns:
        The hidden states ``h``, ``[length, batch, hidden]``, in float32 or wider, even if the matmuls are in
        bfloat16.
    """
    return _Scan.apply(gates_x, weight, starts)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates_x: Gates, weight: Tensor, starts: Tensor) -> States:
        length, batch, width = gates_x.shape
        hidden = width // 4
        dtype = torch.promote_types(gates_x.dtype, torch.float32)
        keep = (~starts).to(dtype)[:, :, None]
        kernel = weight.t().contiguous()
        gates = gates_x.to(dtype, copy=True)
        hs, cs = gates.new_empty(length, batch, hidden), gates.new_empty(length, batch, hidden)
        h = c = gates.new_zeros(batch, hidden)
        for t in range(length):
            h, c, gate = h * keep[t], c * keep[t], gates[t]
            if dtype == weight.dtype:
                gate.addmm_(h, kernel)
            else:
                gate += h.to(weight.dtype) @ kernel
            i, f, g, o = gate.chunk(4, dim=-1)
            gate[:, : 2 * hidden].sigmoid_()
            g.tanh_()
            o.sigmoid_()
            c = torch.addcmul(f * c, i, g, out=cs[t])
            h = torch.mul(o, c.tanh(), out=hs[t])
        ctx.save_for_backward(hs, cs, gates, weight, keep)
        ctx.gates_dtype = gates_x.dtype
        return hs

    @staticmethod
    def backward(ctx: Any, dhs: States) -> tuple[Gates, Tensor, None]:  # type: ignore[override]
        hs, cs, gates, weight, keep = ctx.saved_tensors
        # The states that enter each step; keep zeroes the rows that start a sentence.
        hs_in, cs_in = (torch.cat((torch.zeros_like(s[:1]), s[:-1])).mul_(keep) for s in (hs, cs))
        i, f, g, o = gates.chunk(4, dim=-1)
        tanh_c = cs.tanh()
        # Compute everything that does not depend on the incoming gradient for all steps at once.
        do_dh = tanh_c * o * (1 - o)
        dc_dh = o * (1 - tanh_c * tanh_c)
        dgate_dc = torch.cat((g * i * (1 - i), cs_in * f * (1 - f), i * (1 - g * g)), dim=-1)
        dgates = torch.empty_like(gates)
        length, batch, hidden = hs.shape
        dh_next = dc_next = hs.new_zeros(batch, hidden)
        for t in reversed(range(length)):
            dh = dhs[t] + dh_next
            dc = torch.addcmul(dc_next, dh, dc_dh[t])
            dgate = dgates[t]
            torch.mul(dc.repeat(1, 3), dgate_dc[t], out=dgate[:, : 3 * hidden])
            torch.mul(dh, do_dh[t], out=dgate[:, 3 * hidden :])
            dh_next = (dgate.to(weight.dtype) @ weight).to(dh.dtype) * keep[t]
            dc_next = dc * f[t] * keep[t]
        flat = dgates.flatten(0, 1).to(weight.dtype)
        dweight = flat.t() @ hs_in.flatten(0, 1).to(weight.dtype)
        return dgates.to(ctx.gates_dtype), dweight, None
