"""A model that computes logits in PyTorch."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hybridner.batches.batch import Batch
from hybridner.config.model import ModelConfig
from hybridner.config.options import DeviceOptions
from hybridner.files.tensors import Weights
from hybridner_torch import parallel
from hybridner_torch.bfloat16 import check_on_cpu
from hybridner_torch.canonical import load_weights, to_canonical
from hybridner_torch.model import HybridNER
from hybridner_torch.step import BatchArrays


class Predictor:
    """A model on its device; see :class:`hybridner.model.learner.Predictor`."""

    def __init__(self, config: ModelConfig, weights: Weights | None, devices: DeviceOptions) -> None:
        """Copy ``weights`` to the device; with None a subclass does."""
        self.config = config
        self._device = parallel.find_device(devices.device)
        self._is_bfloat16 = devices.dtype == "bfloat16"
        if self._is_bfloat16 and self._device.type == "cpu":
            check_on_cpu()
        self.rank, self.world_size = parallel.rank_and_world_size()
        self.row_multiple = self.world_size
        count = f"{self.world_size} × " if self.world_size > 1 else ""
        kind = self._device.type
        self.device = count + (torch.cuda.get_device_name(self._device) if kind == "cuda" else kind)
        self.num_lanes = 1
        dtype = getattr(torch, devices.dtype)
        model = HybridNER(config, seed=None, dtype=dtype, param_dtype=torch.promote_types(dtype, torch.float32))
        if weights is not None:
            load_weights(model, weights)
        self.model = self._judged = model.to(self._device)

    def predict(self, batch: Batch) -> Tensor:
        """Start to compute float32 or wider logits ``[rows, length, num_labels]``; do not wait for the device."""
        arrays = self._arrays(batch)
        with torch.inference_mode(), self._precision():
            logits = self._judged(arrays.input_ids, arrays.attention_mask, vectors=arrays.vectors)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def gather(self, logits: Tensor) -> Float[np.ndarray, "rows length num_labels"]:
        """Copy the result of :meth:`predict` from all processes into numpy."""
        if self.world_size > 1:
            parts = [torch.empty_like(logits) for _ in range(self.world_size)]
            torch.distributed.all_gather(parts, logits.contiguous())
            logits = torch.cat(parts)
        return logits.cpu().numpy()

    def weights(self) -> Weights:
        """Copy the canonical weights that :meth:`predict` uses."""
        return to_canonical(dict(self._judged.named_parameters()))

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.world_size > 1:
            torch.distributed.barrier()

    def agree(self, number: int) -> int:
        """Return the largest ``number`` of any process."""
        if self.world_size == 1:
            return number
        largest = torch.tensor(number, device=self._device)
        torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
        return int(largest)

    def _arrays(self, batch: Batch) -> BatchArrays:
        batch = batch.take_part(self.rank, self.world_size)
        copy, labels = self._copy, batch.labels.astype(np.int64)
        vectors = None if batch.vectors is None else copy(batch.vectors)
        return BatchArrays(copy(batch.input_ids), copy(batch.attention_mask), copy(labels), vectors)

    def _copy(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self._device, non_blocking=True)

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._is_bfloat16)
