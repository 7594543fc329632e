"""HybridNER in PyTorch; proved equal to the Flax version in ``hybridner_flax``."""

from hybridner_torch.model import HybridNER

__all__ = ["HybridNER"]
