"""Shared layers, and the boundaries of sentences within a row."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Hidden = Float[Tensor, "batch length hidden"]


def sentence_starts(attention_mask: Int[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    """Mark the first piece of each sentence (or run of padding): the places where the mask changes."""
    first = torch.ones_like(attention_mask[:, :1], dtype=torch.bool)
    changes = attention_mask[:, 1:] != attention_mask[:, :-1]
    return torch.cat((first, changes), dim=1)


def sentence_positions(attention_mask: Int[Tensor, "batch length"]) -> Int[Tensor, "batch length"]:
    """Count the pieces of each sentence from 0; padding gets 0, however long it is."""
    column = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    start = torch.where(sentence_starts(attention_mask), column, 0).cummax(dim=1).values
    return torch.where(attention_mask != 0, column - start, 0)


def clipped_distances(length: int, largest: int, device: torch.device) -> Int[Tensor, "length length"]:
    """Return the distance from each position (row) to each other (column), clipped; 0 means ``-largest``."""
    column = torch.arange(length, device=device)
    return (column[None] - column[:, None]).clamp(-largest, largest) + largest


class Linear(nn.Linear):
    """A Linear with a bias, uninitialized until weights are loaded.

    ``nn.utils.skip_init`` does the same but imports 80 MB of PyTorch's compiler.
    """

    def reset_parameters(self) -> None:
        """Leave the parameters as they are."""


class Embedding(nn.Embedding):
    """An embedding table, uninitialized until weights are loaded."""

    def reset_parameters(self) -> None:
        """Leave the rows as they are."""


def make_layer_norm(hidden_size: int, eps: float) -> nn.LayerNorm:
    """Make a LayerNorm."""
    return nn.LayerNorm(hidden_size, eps=eps)
