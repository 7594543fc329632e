"""A model in training in PyTorch."""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import Options
from hybridner.files.tensors import Weights
from hybridner.model.dropout import step_key
from hybridner.model.learner import ADAM_BETA1, ADAM_EPS, TrainingState
from hybridner.model.parts import decays, rows
from hybridner_torch import parallel
from hybridner_torch.canonical import from_canonical, load_weights, to_canonical
from hybridner_torch.deterministic import compute_deterministically
from hybridner_torch.dropout import DropoutStream
from hybridner_torch.predictor import Predictor
from hybridner_torch.step import BatchArrays, StepMetrics, num_losses, sum_losses


class Learner(Predictor):
    """A model in training; see :class:`hybridner.model.learner.Probe`."""

    @staticmethod
    def join(options: Options) -> int:
        """Join the other processes, if there are any, and return the rank of this one."""
        if options.devices.deterministic:
            compute_deterministically()
        return parallel.join(options)

    def __init__(self, config: ModelConfig, options: Options) -> None:
        super().__init__(config, None, options.devices)
        self.options = options
        self.spread = "DistributedDataParallel" if self.world_size > 1 else "one process"
        self.row_multiple = self.world_size * options.devices.accumulate
        self._parameters = dict(self.model.named_parameters())
        self._forward: nn.Module = self.model
        if self.world_size > 1:
            self._forward = nn.parallel.DistributedDataParallel(self.model)
        self._optimizer = self._new_optimizer()
        self._steps_done = self._skipped_before = 0
        self._average: dict[str, Tensor] | None = None

    def init(self, weights: Weights) -> None:
        """Start from canonical ``weights`` with a new optimizer."""
        load_weights(self.model, weights)
        self._optimizer = self._new_optimizer()
        self._steps_done = self._skipped_before = 0
        if self.options.optimization.average is not None:
            self._keep_average(weights)

    def step(self, batch: Batch, learning_rate: float) -> StepMetrics:
        """Start one AdamW step on a global batch; do not wait for the device."""
        metrics = self._backward(batch)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._steps_done += 1
        if self.options.run.on_nonfinite == "skip":
            return self._update_if_finite(metrics)
        if self.options.optimization.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.options.optimization.clip_norm)
        self._optimizer.step()
        if self._average is not None and self.options.optimization.average is not None:
            done = self._steps_done - self._skipped_before
            decay = min(self.options.optimization.average, (1 + done) / (10 + done))
            for name, average in self._average.items():
                average.lerp_(self._parameters[name].detach(), 1 - decay)
        return metrics

    def gradients(self, batch: Batch) -> tuple[float, Weights]:
        """Compute the mean loss of a global batch and its gradient, with the dropout of the next step."""
        metrics = self._backward(batch)
        grads = {name: p.grad for name, p in self._parameters.items() if p.grad is not None}
        return float(metrics.loss_sum) / max(int(metrics.num_labels), 1), to_canonical(grads)

    def activations(self, batch: Batch) -> dict[str, np.ndarray]:
        """Compute the output of each part of the model, ``[rows, length, …]``, in order, without dropout."""
        arrays = self._arrays(batch)
        with torch.inference_mode(), self._precision():
            found = self._judged.activations(arrays.input_ids, arrays.attention_mask, vectors=arrays.vectors)
        return {name: self.gather(value.float() if value.dtype == torch.bfloat16 else value) for name, value in found}

    def peak_memory(self) -> int | None:
        """Return the peak of the device's memory in bytes; None where nothing counts it."""
        return torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None

    def snapshot(self) -> TrainingState:
        """Copy the training state into numpy arrays under canonical names."""
        state = self._optimizer.state

        def moment(kind: str) -> Weights:
            zero = torch.zeros_like
            return to_canonical({n: state[p][kind] if p in state else zero(p) for n, p in self._parameters.items()})

        moments = moment("exp_avg"), moment("exp_avg_sq")
        average = None if self._average is None else to_canonical(self._average)
        first = next(iter(self._parameters.values()))
        skipped = self._steps_done - (int(state[first]["step"]) if first in state else 0)
        return TrainingState(to_canonical(self._parameters), *moments, self._steps_done, average, skipped)

    def restore(self, state: TrainingState) -> None:
        """Resume from ``state``."""
        self.init(state.weights)
        self._steps_done, self._skipped_before = state.step, state.skipped
        if self._average is not None and state.average is not None:
            self._keep_average(state.average)
        if state.step == state.skipped:
            return
        exp_avg, exp_avg_sq = (from_canonical(w, self._parameters) for w in (state.exp_avg, state.exp_avg_sq))
        for name, parameter in self._parameters.items():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step - state.skipped), device=self._device),
                "exp_avg": exp_avg[name],
                "exp_avg_sq": exp_avg_sq[name],
            }

    # Flax has the next three in its compiled step.
    def _backward(self, batch: Batch) -> StepMetrics:
        """Compute the gradient of the global batch's mean loss into the parameters."""
        arrays = self._arrays(batch)
        num_rows = arrays.labels.shape[0]
        rows = np.arange(num_rows) + self.rank * num_rows
        key = step_key(self.options.optimization.seed, self._steps_done)
        num_labels = num_losses(self.config, arrays)
        self._all_reduce(num_labels)
        self._optimizer.zero_grad(set_to_none=True)
        losses = []
        for rows_here in np.split(np.arange(num_rows), self.options.devices.accumulate):
            here = slice(rows_here[0], rows_here[-1] + 1)
            vectors = None if arrays.vectors is None else arrays.vectors[here]
            part = BatchArrays(arrays.input_ids[here], arrays.attention_mask[here], arrays.labels[here], vectors)
            with self._summed_later(is_last=here.stop == num_rows):
                with self._precision():
                    stream = DropoutStream(key, rows[here])
                    logits = self._forward(part.input_ids, part.attention_mask, stream, part.vectors)
                # Divide by the losses of the whole batch; DDP averages over processes, so multiply by their number.
                loss = sum_losses(self.model, logits, part) / num_labels.clamp(min=1)
                (loss * self.world_size).backward()
            losses.append(loss.detach())
        loss_sum = torch.stack(losses).sum() * num_labels
        self._all_reduce(loss_sum)
        return StepMetrics(loss_sum, num_labels)

    def _summed_later(self, is_last: bool) -> AbstractContextManager[Any]:
        """Sum the gradients over processes only in the last part of a step."""
        if is_last or self.world_size == 1:
            return nullcontext()
        assert isinstance(self._forward, nn.parallel.DistributedDataParallel)
        return self._forward.no_sync()

    def _update_if_finite(self, metrics: StepMetrics) -> StepMetrics:
        """Update parameters, moments, average and AdamW's count, or no bit if the step is not finite."""
        parameters = list(self._parameters.values())
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        # AdamW squares the gradient, so its square must be finite too.
        skipped = ~(norm.square().isfinite() & metrics.loss_sum.isfinite())
        metrics = metrics._replace(loss_sum=metrics.loss_sum.masked_fill(skipped, torch.nan))
        if self.options.optimization.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.options.optimization.clip_norm, norm)
        if self._optimizer.defaults["fused"]:
            # The fused kernels read this flag of GradScaler and skip the step, so the host need not wait.
            self._optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        elif skipped:  # the other kernels do not, so the host waits
            return metrics
        self._optimizer.step()
        if self._average is not None and self.options.optimization.average is not None:
            done = self._optimizer.state[parameters[0]]["step"].double()
            weight = 1 - ((1 + done) / (10 + done)).clamp(max=self.options.optimization.average)
            for name, average in self._average.items():
                moved = average.lerp(self._parameters[name].detach(), weight.to(average))
                torch.where(skipped, average, moved, out=average)
        return metrics

    def _keep_average(self, weights: Weights) -> None:
        """Start the average from ``weights``, as the parameters of a second model."""
        self._average = from_canonical(weights, self._parameters)
        self._judged = deepcopy(self.model)
        for name, parameter in self._judged.named_parameters():
            parameter.data = self._average[name]

    def _new_optimizer(self) -> torch.optim.AdamW:
        options = self.options.optimization
        kinds = {row.name: row.kind for row in rows(self.config)}
        groups = [
            {
                "params": [p for name, p in self._parameters.items() if decays(kinds[name], options) == decayed],
                "weight_decay": options.weight_decay if decayed else 0.0,
            }
            for decayed in (True, False)
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=options.learning_rate,
            betas=(ADAM_BETA1, options.beta2),
            eps=ADAM_EPS,
            fused=self._device.type in ("cpu", "cuda"),
        )

    def _all_reduce(self, tensor: Tensor) -> None:
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)
