"""Bugs of a training step: loss and gradients, dropout, the optimizer."""

import numpy as np
import torch
from torch import nn

import hybridner_torch.embedding as embedding_module
import hybridner_torch.encoder as encoder_module
import hybridner_torch.learner as learner_module
import hybridner_torch.lstm as lstm_module
import hybridner_torch.model as model_module
import hybridner_torch.step as step_module
from hybridner.batches.encoding import IGNORED
from hybridner.model.dropout import drop_threshold
from hybridner.model.learner import ADAM_BETA1, ADAM_EPS
from hybridner_torch.learner import Learner
from parity_tests.bugs.registry import bug, wrap


@bug("gradients", "a gradient flows into the pad row")
def _(patch):
    def unpadded(init, self, *args):
        init(self, *args)
        self.embed_tokens.padding_idx = None

    wrap(patch, embedding_module.TransformerEncoder, "__init__", unpadded)


@bug("gradients", "the loss is the mean over all positions, padding too")
def _(patch):
    wrap(
        patch,
        step_module,
        "token_loss_sum",
        lambda loss_sum, logits, labels: loss_sum(logits, labels) * (labels != IGNORED).sum() / labels.numel(),
    )


@bug("gradients", "the loss is the mean of the rows' means")
def _(patch):
    def by_row(loss_sum, logits, labels):
        counts = (labels != IGNORED).sum(1)
        rows = [loss_sum(x[None], y[None]) / n for x, y, n in zip(logits, labels, counts, strict=True) if n]
        return torch.stack(rows).mean() * counts.sum()

    wrap(patch, step_module, "token_loss_sum", by_row)


@bug("gradients", "unlabelled pieces count as label 0")
def _(patch):
    wrap(
        patch,
        step_module,
        "token_loss_sum",
        lambda loss_sum, logits, labels: loss_sum(logits, labels.clamp(min=0)),
    )


@bug("gradients", "the LSTM's gradient crosses from a sentence into the one before it")
def _(patch):
    def crossing(backward, ctx, dhs):
        *saved, keep = ctx.saved_tensors
        leaking = type("Ctx", (), {"saved_tensors": (*saved, torch.ones_like(keep)), "gates_dtype": ctx.gates_dtype})
        return backward(leaking, dhs)

    original = lstm_module._Scan.backward
    patch.setattr(lstm_module._Scan, "backward", staticmethod(lambda ctx, dhs: crossing(original, ctx, dhs)))


@bug("gradients", "the LSTM's second bias is not trained")
def _(patch):
    def frozen(forward, self, x, starts, stream):
        self.linear_hh.bias.requires_grad_(False)
        return forward(self, x, starts, stream)

    wrap(patch, lstm_module.LSTM, "forward", frozen)


@bug("dropout", "all rows share one mask")
def _(patch):
    wrap(patch, learner_module, "DropoutStream", lambda stream, key, rows: stream(key, np.zeros_like(rows)))


@bug("dropout", "what is kept is not scaled up")
def _(patch):
    def unscaled(dropout, x, rate, site, stream):
        return dropout(x, rate, site, stream) * (1 - drop_threshold(rate) / 256 if stream else 1)

    for module in (encoder_module, model_module):
        wrap(patch, module, "dropout", unscaled)


@bug("dropout", "attention heads share one mask")
def _(patch):
    def shared(dropout, x, rate, site, stream):
        if x.dim() < 4:
            return dropout(x, rate, site, stream)
        return x * dropout(torch.ones_like(x[:, 0]), rate, site, stream)[:, None]

    wrap(patch, encoder_module, "dropout", shared)


@bug("dropout", "two places share one mask")
def _(patch):
    shared = lambda dropout, x, rate, site, stream: dropout(x, rate, min(site, 2), stream)  # noqa: E731
    wrap(patch, encoder_module, "dropout", shared)


@bug("dropout", "nothing is dropped before the classifier")
def _(patch):
    wrap(
        patch,
        model_module,
        "dropout",
        lambda dropout, x, rate, site, stream: dropout(x, rate, site, stream if site else None),
    )


@bug("dropout", "each step drops the same")
def _(patch):
    wrap(patch, learner_module, "step_key", lambda key, seed, step: key(seed, 0))


def use_optimizer(patch, make):
    patch.setattr(
        Learner, "_new_optimizer", lambda self: make(self._parameters, self.options.optimization.weight_decay)
    )


def adamw(parameters, weight_decay, kind=torch.optim.AdamW, **changes):
    options = {"betas": (ADAM_BETA1, 0.999), "eps": ADAM_EPS, "weight_decay": weight_decay, **changes}
    return kind(parameters.values(), lr=1e-3, **options)


@bug("optimizer", "no bias correction")
def _(patch):
    def uncorrected(parameters, weight_decay):
        optimizer = adamw(parameters, weight_decay)
        for p in parameters.values():
            zeros = {kind: torch.zeros_like(p) for kind in ("exp_avg", "exp_avg_sq")}
            optimizer.state[p] = {"step": torch.tensor(1e9), **zeros}
        return optimizer

    use_optimizer(patch, uncorrected)


@bug("optimizer", "L2 in the gradient instead of decoupled decay")
def _(patch):
    use_optimizer(patch, lambda parameters, decay: adamw(parameters, decay, torch.optim.Adam))


@bug("optimizer", "biases do not decay")
def _(patch):
    def exempt(parameters, weight_decay):
        groups = [{"params": [p], "weight_decay": weight_decay * (p.dim() > 1)} for p in parameters.values()]
        return torch.optim.AdamW(groups, betas=(ADAM_BETA1, 0.999), eps=ADAM_EPS)

    use_optimizer(patch, exempt)


@bug("optimizer", "the second beta is 0.99")
def _(patch):
    use_optimizer(patch, lambda parameters, decay: adamw(parameters, decay, betas=(0.9, 0.99)))


@bug("optimizer", "Adam's epsilon is 1e-7")
def _(patch):
    use_optimizer(patch, lambda parameters, decay: adamw(parameters, decay, eps=1e-7))


@bug("optimizer", "weight decay is PyTorch's default")
def _(patch):
    use_optimizer(patch, lambda parameters, decay: adamw(parameters, 1e-2))


def clip_by(patch, coefficient):
    def clip(parameters, max_norm):
        grads = [p.grad for p in parameters if p.grad is not None]
        for grad in grads:
            grad.mul_(coefficient(grad, grads, max_norm).clamp(max=1))

    patch.setattr(nn.utils, "clip_grad_norm_", clip)


@bug("optimizer", "clipping divides by the norm without its epsilon")
def _(patch):
    norms = []

    def coefficient(grad, grads, max_norm):
        if grad is grads[0]:
            norms[:] = [torch.stack([g.norm() for g in grads]).norm()]
        return max_norm / norms[0]

    clip_by(patch, coefficient)


@bug("optimizer", "each tensor is clipped by its own norm")
def _(patch):
    clip_by(patch, lambda grad, grads, max_norm: max_norm / (grad.norm() + 1e-6))


@bug("optimizer", "the learning rate is that of the step before")
def _(patch):
    rates = [0.0]

    def late(step, self, batch, learning_rate):
        rates.append(learning_rate)
        return step(self, batch, rates[-2])

    wrap(patch, Learner, "step", late)
