"""Bugs in loading and saving weights."""

import numpy as np
import torch

import hybridner_torch.learner as learner_module
import hybridner_torch.predictor as predictor_module
from hybridner_torch.learner import Learner
from parity_tests.bugs.registry import bug, wrap

Q_PROJ = "transformer_encoder.encoder.layers.0.self_attn.q_proj.weight"


def edit_weights_in(patch, edit):
    def wrapper(load_weights, model, weights):
        return load_weights(model, edit(dict(weights)))

    wrap(patch, learner_module, "load_weights", wrapper)


@bug("weights", "a square kernel is transposed on the way in")
def _(patch):
    edit_weights_in(patch, lambda w: w | {Q_PROJ: w[Q_PROJ].T})


@bug("weights", "two gates of the LSTM are swapped on the way in")
def _(patch):
    name = "lstm.linear_ih.weight"
    edit_weights_in(patch, lambda w: w | {name: np.concatenate([np.split(w[name], 4)[i] for i in (0, 1, 3, 2)])})


@bug("weights", "the two biases of the LSTM are swapped")
def _(patch):
    # The forward pass and the gradients are the same: only the names reveal it.
    ih, hh = "lstm.linear_ih.bias", "lstm.linear_hh.bias"
    edit_weights_in(patch, lambda w: w | {ih: w[hh], hh: w[ih]})


@bug("weights", "the two biases of the LSTM are summed into one")
def _(patch):
    ih, hh = "lstm.linear_ih.bias", "lstm.linear_hh.bias"
    edit_weights_in(patch, lambda w: w | {ih: w[ih] + w[hh], hh: np.zeros_like(w[hh])})


@bug("weights", "the weights pass through bfloat16")
def _(patch):
    rounded = lambda value: torch.tensor(value).bfloat16().float().numpy()  # noqa: E731
    edit_weights_in(patch, lambda w: {name: rounded(value) for name, value in w.items()})


@bug("weights", "a tensor is dropped on the way out")
def _(patch):
    wrap(patch, Learner, "weights", lambda get, self: {k: v for k, v in get(self).items() if k != "classifier.bias"})


@bug("weights", "a tensor is renamed on the way out")
def _(patch):
    rename = lambda name: name.replace("lstm.linear_ih", "lstm.weight_ih")  # noqa: E731
    wrap(patch, Learner, "weights", lambda get, self: {rename(k): v for k, v in get(self).items()})


@bug("activations", "a square kernel is transposed on the way in and back on the way out")
def _(patch):
    # A round trip of weights alone never catches it.
    edit_weights_in(patch, lambda w: w | {Q_PROJ: w[Q_PROJ].T})

    def turned(to_canonical, params):
        out = to_canonical(params)
        return out | {Q_PROJ: np.ascontiguousarray(out[Q_PROJ].T)}

    for module in (learner_module, predictor_module):
        wrap(patch, module, "to_canonical", turned)
