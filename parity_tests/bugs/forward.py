"""Bugs of the forward pass."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import hybridner_torch.embedding as embedding_module
import hybridner_torch.encoder as encoder_module
import hybridner_torch.lstm as lstm_module
from hybridner_torch.learner import Learner
from parity_tests.bugs.registry import bug, wrap


@bug("activations", "LayerNorm's epsilon is Flax's 1e-6")
def _(patch):
    wrap(patch, encoder_module, "make_layer_norm", lambda make, hidden_size, eps: make(hidden_size, 1e-6))


@bug("activations", "LayerNorm takes the variance as E[x²] − E[x]²")
def _(patch):
    def fast(self, x):
        mean = x.mean(-1, keepdim=True)
        variance = (x * x).mean(-1, keepdim=True) - mean * mean
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias

    patch.setattr(nn.LayerNorm, "forward", fast)


@bug("activations", "LayerNorm divides by n - 1")
def _(patch):
    def unbiased(self, x):
        variance = x.var(-1, keepdim=True, unbiased=True)
        return (x - x.mean(-1, keepdim=True)) * torch.rsqrt(variance + self.eps) * self.weight + self.bias

    patch.setattr(nn.LayerNorm, "forward", unbiased)


@bug("activations", "the query is not scaled")
def _(patch):
    d_head = 8
    wrap(patch, torch.Tensor, "softmax", lambda softmax, scores, dim: softmax(scores * d_head**0.5, dim))


@bug("activations", "the softmax is taken in float32")
def _(patch):
    wrap(patch, torch.Tensor, "softmax", lambda softmax, x, dim: softmax(x.float(), dim).to(x.dtype))


@bug("activations", "the attention mask is inverted")
def _(patch):
    wrap(patch, torch.Tensor, "masked_fill", lambda fill, scores, mask, value: fill(scores, ~mask, value))


@bug("activations", "attention takes a mask of 0 and 1: sentences packed into one row see each other")
def _(patch):
    forward = lambda encode, self, x, mask, stream: encode(self, x, (mask != 0).int(), stream)  # noqa: E731
    wrap(patch, encoder_module.Encoder, "forward", forward)


@bug("activations", "attention does not mask padding")
def _(patch):
    forward = lambda encode, self, x, mask, stream: encode(self, x, mask.clamp(min=1), stream)  # noqa: E731
    wrap(patch, encoder_module.Encoder, "forward", forward)


@bug("activations", "positions are off by one")
def _(patch):
    wrap(patch, embedding_module, "sentence_positions", lambda positions, mask: positions(mask) + 1)


@bug("activations", "positions do not start anew in a packed row")
def _(patch):
    wrap(patch, embedding_module, "sentence_positions", lambda positions, mask: positions((mask != 0).int()))


@bug("activations", "the position table is computed in float32")
def _(patch):
    def in_float32(table, max_length, hidden_size):
        position = torch.arange(max_length, dtype=torch.float32)[:, None]
        rate = 10000.0 ** (-torch.arange(0, hidden_size, 2, dtype=torch.float32) / hidden_size)
        return torch.stack(((position * rate).sin(), (position * rate).cos()), -1).flatten(1).numpy()

    wrap(patch, embedding_module, "position_table", in_float32)


@bug("activations", "the activation is a GELU by tanh")
def _(patch):
    patch.setattr(F, "relu", lambda x: F.gelu(x, approximate="tanh"))


@bug("activations", "the LSTM's gates stand in the order i, f, o, g")
def _(patch):
    def swapped(scan, gates_x, weight, starts):
        swap = lambda x, dim: torch.cat([x.chunk(4, dim)[i] for i in (0, 1, 3, 2)], dim)  # noqa: E731
        return scan(swap(gates_x, -1), swap(weight, 0), starts)

    wrap(patch, lstm_module, "lstm_scan", swapped)


@bug("activations", "the LSTM's state is not reset where a sentence starts")
def _(patch):
    def carried_on(scan, gates_x, weight, starts):
        return scan(gates_x, weight, torch.arange(len(starts))[:, None].expand(starts.shape) == 0)

    wrap(patch, lstm_module, "lstm_scan", carried_on)


@bug("activations", "the LSTM takes one bias of its two")
def _(patch):
    def one_bias(self, x, starts, stream):
        gates_x = self.linear_ih(x.transpose(0, 1))
        return lstm_module.lstm_scan(gates_x, self.linear_hh.weight, starts.t()).transpose(0, 1)

    patch.setattr(lstm_module.LSTM, "forward", one_bias)


@bug("activations", "differences cancel: one logit is too high by what its neighbour is too low")
def _(patch):
    def wobble(activations, self, batch):
        found = activations(self, batch)
        found["classifier"][..., 0] += 1e-9
        found["classifier"][..., 1] -= 1e-9
        return found

    wrap(patch, Learner, "activations", wobble)


@bug("activations", "one value is not a number")
def _(patch):
    def with_nan(activations, self, batch):
        found = activations(self, batch)
        found["lstm"][0, 0, 0] = np.nan
        return found

    wrap(patch, Learner, "activations", with_nan)


@bug("activations", "prediction gives float32")
def _(patch):
    wrap(patch, Learner, "predict", lambda predict, self, batch: predict(self, batch).float())
