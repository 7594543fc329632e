"""HybridNER in Flax; proved equal to the PyTorch version in ``hybridner_torch``."""

from hybridner_flax.model import HybridNER

__all__ = ["HybridNER"]
