"""The arrays, sums and loss of a step in PyTorch; ``Learner`` does the rest of Flax's ``step.py``."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int, Int32, Int64
from torch import Tensor

from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner_torch.crf import find_chains
from hybridner_torch.model import HybridNER


class BatchArrays(NamedTuple):
    """The arrays of a batch that go to the device; ``vectors`` is None if the model reads none."""

    input_ids: Int32[Tensor, "rows length *features"]
    attention_mask: Int32[Tensor, "rows length"]
    labels: Int64[Tensor, "rows length"]
    vectors: Float32[Tensor, "rows length vector_size"] | None = None


class StepMetrics(NamedTuple):
    """Sums over the global batch, on the device; a skipped step has the loss NaN."""

    loss_sum: Float[Tensor, ""]
    num_labels: Int[Tensor, ""]


def token_loss_sum(
    logits: Float[Tensor, "rows length num_labels"], labels: Int[Tensor, "rows length"]
) -> Float[Tensor, ""]:
    """Sum the cross-entropies of the labelled pieces, in float32 or wider."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")


def sum_losses(
    model: HybridNER, logits: Float[Tensor, "rows length num_labels"], arrays: BatchArrays
) -> Float[Tensor, ""]:
    """Sum the losses of the words, or of the sentences if the head is a CRF."""
    if model.config.head.kind == "crf":
        return model.crf(logits, arrays.labels, arrays.attention_mask)
    return token_loss_sum(logits, arrays.labels)


def num_losses(config: ModelConfig, arrays: BatchArrays) -> Int[Tensor, ""]:
    """Count the terms of :func:`sum_losses`: labelled words, or sentences that have some."""
    if config.head.kind == "crf":
        return find_chains(arrays.labels, arrays.attention_mask).first.sum()
    return (arrays.labels != IGNORED).sum()
