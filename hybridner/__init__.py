"""HybridNER: one named-entity tagger, written in Flax and in PyTorch and proved to be the same model.

>>> result = hybridner.train(backend="flax", data="sample")
>>> tagger = hybridner.load(result.folder)
>>> tagger.tag("Angela Merkel visited Tallinn.")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybridner.tagging.tagger import load
    from hybridner.training.train import train

__all__ = ["__version__", "load", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: the command line must start fast."""
    if name == "load":
        from hybridner.tagging.tagger import load

        return load
    if name == "train":
        from hybridner.training.train import train

        return train
    raise AttributeError(f"module 'hybridner' has no attribute {name!r}")
