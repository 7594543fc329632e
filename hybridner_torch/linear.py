"""``nn.Linear`` and ``nn.Embedding`` without initial values, which canonical weights replace.

``nn.utils.skip_init`` has the same result, but imports 80 MB of PyTorch's compiler.
"""

from torch import nn


class Linear(nn.Linear):
    """A linear map whose parameters are whatever the memory holds."""

    def reset_parameters(self) -> None:
        """Leave the parameters as they are."""


class Embedding(nn.Embedding):
    """A table of embeddings whose rows are whatever the memory holds."""

    def reset_parameters(self) -> None:
        """Leave the rows as they are."""
