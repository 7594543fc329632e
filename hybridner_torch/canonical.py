"""Between parameters and canonical weights (``hybridner.model.weights``), which have the same names and layouts."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from hybridner.files.tensors import Weights


def to_canonical(params: Mapping[str, Tensor]) -> Weights:
    """Canonical weights, as numpy arrays of their own, from named parameters (or one of their Adam moments)."""
    return {name: param.detach().cpu().numpy().copy() for name, param in params.items()}


def from_canonical(weights: Mapping[str, np.ndarray], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with the names, types and devices of ``like`` and the values of canonical ``weights``."""
    return {name: torch.tensor(weights[name], dtype=param.dtype, device=param.device) for name, param in like.items()}


def load_weights(model: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Put canonical ``weights`` into ``model``; its parameter type stays."""
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, param in params.items():
            param.copy_(torch.from_numpy(weights[name]))
