"""HybridNER: one named-entity tagger, written in Flax and in PyTorch and proved to be the same model.

>>> result = hybridner.train(backend="flax", data="sample")
>>> tagger = hybridner.load(result.folder)
>>> tagger.tag("Angela Merkel visited Tallinn.")
>>> hybridner.evaluate(tagger, "sample", split="test")
"""

import importlib
from typing import TYPE_CHECKING, Any

from hybridner.version import __version__

if TYPE_CHECKING:
    from hybridner.errors import InputError
    from hybridner.evaluation.evaluate import evaluate
    from hybridner.tagging.decoding import Entity
    from hybridner.tagging.tagger import Tagger, load
    from hybridner.training.train import train

__all__ = ["Entity", "InputError", "Tagger", "__version__", "evaluate", "load", "train"]

_MODULES = {
    "load": "hybridner.tagging.tagger",
    "train": "hybridner.training.train",
    "evaluate": "hybridner.evaluation.evaluate",
    "Tagger": "hybridner.tagging.tagger",
    "Entity": "hybridner.tagging.decoding",
    "InputError": "hybridner.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line must start fast."""
    if name not in _MODULES:
        raise AttributeError(f"module 'hybridner' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
