"""The Hugging Face Hub, as far as saved models go; every way in which it may fail is one line.

Who may read and write what is the business of ``huggingface_hub``: it finds the token that ``hf auth login`` left, and
nothing here reads it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridner.errors import InputError

MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors", "README.md")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_repository(name: str) -> bool:
    """Check that ``name`` reads as OWNER/NAME."""
    return _REPOSITORY.fullmatch(name) is not None


def fetch_model(repository: str) -> Path:
    """Download a model's own files from the Hub unless they are here, and return the folder.

    Raises:
        InputError: there is none, or the Hub is out of reach or refuses.
    """
    with asked(f"{repository}: no such file or folder here, and not had from the Hub") as hub:
        return Path(hub.snapshot_download(repository, allow_patterns=list(MODEL_FILES)))


@contextmanager
def asked(failed: str) -> Iterator[Any]:
    """Provide the Hub's library; an error in the block becomes one line that begins with ``failed``.

    Raises:
        InputError: the library is not installed, or the block did not do.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError("the Hugging Face Hub needs huggingface_hub; pip install huggingface_hub") from error
    try:
        yield huggingface_hub
    except InputError:
        raise
    except Exception as error:  # the library's, its HTTP client's: many kinds, and others from version to version
        raise InputError(f"{failed}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if status == 401 or "LocalTokenNotFoundError" in kinds:
        return "the Hub does not know you, or has no such model; log in with: hf auth login"
    if status == 403:
        return "you may not do that there; the token needs the right to"
    if status == 404:
        return "the Hub has no such model, or it is private and you are not logged in (hf auth login)"
    if kinds & {"ConnectionError", "TransportError", "TimeoutError", "LocalEntryNotFoundError"}:
        return "the Hub is out of reach; check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
