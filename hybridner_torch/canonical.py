"""Conversion between the model's parameters and canonical weights (``hybridner.model.parts``): the same names."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hybridner.files.tensors import Weights


def to_canonical(params: Mapping[str, Tensor]) -> Weights:
    """Copy parameters (or one of their Adam moments) into canonical numpy weights."""
    return {name: param.detach().cpu().numpy().copy() for name, param in params.items()}


def from_canonical(weights: Mapping[str, np.ndarray], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy canonical ``weights`` into parameters with the names, types and devices of ``like``."""
    return {name: torch.tensor(weights[name], dtype=param.dtype, device=param.device) for name, param in like.items()}


def load_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy canonical ``weights`` into ``model`` and keep its parameter type."""
    with torch.no_grad():
        for name, param in model.named_parameters():
            param.copy_(torch.from_numpy(weights[name]))
