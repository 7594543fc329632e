"""Access to the Hugging Face Hub, with each failure reported in one line.

``huggingface_hub`` alone reads the token that ``hf auth login`` saved.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

VECTORS = "vectors.safetensors"
MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors", "README.md", VECTORS)
"""The files of a published model; not each has vectors."""


def is_repository(name: str) -> bool:
    """Check that ``name`` reads as OWNER/NAME."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def fetch_model(repository: str, names: Sequence[str] = MODEL_FILES) -> Path:
    """Download a repository's files of these names, unless they are in the cache, and return their folder.

    Raises:
        InputError: there is no such repository, or the Hub is out of reach or refuses.
    """
    with asked(f"{repository}: no such file or folder here, and the Hub did not provide it") as hub:
        return Path(hub.snapshot_download(repository, allow_patterns=list(names)))


@contextmanager
def asked(failed: str) -> Iterator[Any]:
    """Provide the Hub's library; an error in the block becomes one line that begins with ``failed``.

    Raises:
        InputError: the block failed.
    """
    import huggingface_hub

    try:
        yield huggingface_hub
    except InputError:
        raise
    except Exception as error:  # the library and its HTTP client raise many kinds, which vary with the version
        raise InputError(f"{failed}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if status in (401, 404) or "LocalTokenNotFoundError" in kinds:
        return "the Hub has no such repository, or does not show it to you; log in with: hf auth login"
    if status == 403:
        return "your token does not permit this; log in with one that does: hf auth login"
    if kinds & {"ConnectionError", "TransportError", "TimeoutError", "LocalEntryNotFoundError"}:
        return "the Hub is out of reach; check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
