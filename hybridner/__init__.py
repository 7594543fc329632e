"""HybridNER: one named-entity tagger written twice, in Flax and in PyTorch."""

__version__ = "0.1.0"
