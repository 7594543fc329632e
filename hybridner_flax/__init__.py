"""HybridNER in Flax; proved equal to its twin in ``hybridner_torch``."""

from hybridner_flax.model import HybridNER

__all__ = ["HybridNER"]
