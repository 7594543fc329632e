"""HybridNER in PyTorch; proved equal to its twin in ``hybridner_flax``."""

from hybridner_torch.model import HybridNER

__all__ = ["HybridNER"]
