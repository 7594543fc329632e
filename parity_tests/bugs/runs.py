"""Bugs that only a whole training run reveals, and bugs of several processes."""

import numpy as np
import torch
from torch import nn

import hybridner.training.loop
import hybridner_torch.learner as learner_module
import hybridner_torch.step as step_module
from hybridner.batches.encoding import IGNORED
from hybridner.config.options import OptimizationOptions
from hybridner_torch.learner import Learner
from parity_tests.bugs.registry import bug, wrap


@bug("training", "the schedule counts from 1")
def _(patch):
    wrap(patch, OptimizationOptions, "learning_rate_at", lambda rate, self, step, total: rate(self, step + 1, total))


@bug("training", "another order of the data")
def _(patch):
    batches = lambda make, *args, **kwargs: make(*args, **{**kwargs, "seed": kwargs["seed"] + 1})  # noqa: E731
    wrap(patch, hybridner.training.loop, "training_batches", batches)


@bug("training", "each epoch has the order of the first")
def _(patch):
    batches = lambda make, *args, **kwargs: make(*args, **{**kwargs, "epoch": 0})  # noqa: E731
    wrap(patch, hybridner.training.loop, "training_batches", batches)


@bug("training", "evaluation takes the least likely tag")
def _(patch):
    wrap(patch, Learner, "predict", lambda predict, self, batch: -predict(self, batch))


@bug("devices", "the loss is the mean of the devices' means")
def _(patch):
    def mean_of_means(loss_sum, logits, labels):
        num_labels = (labels != IGNORED).sum()
        total = num_labels.clone()
        torch.distributed.all_reduce(total)
        return loss_sum(logits, labels) / num_labels.clamp(min=1) * total / torch.distributed.get_world_size()

    wrap(patch, step_module, "token_loss_sum", mean_of_means)


@bug("devices", "all devices share one dropout mask")
def _(patch):
    wrap(patch, learner_module, "DropoutStream", lambda stream, key, rows: stream(key, rows - rows[0]))


@bug("devices", "each device keeps its own gradient")
def _(patch):
    patch.setattr(nn.parallel, "DistributedDataParallel", lambda model: model)


@bug("devices", "the gradient is summed over devices and not averaged")
def _(patch):
    def summed(backward, self, batch):
        metrics = backward(self, batch)
        for p in self._parameters.values():
            p.grad.mul_(self.world_size)
        return metrics

    wrap(patch, Learner, "_backward", summed)


@bug("devices", "rows come back in another order")
def _(patch):
    wrap(patch, Learner, "gather", lambda gather, self, logits: np.roll(gather(self, logits), 4, axis=0))
