"""The scores of label sequences, and the loss of a conditional random field (Lafferty et al. 2001)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.model.crf import FORBIDDEN, allowed_transitions
from hybridner_torch.layers import sentence_starts

Emissions = Float[Tensor, "batch length num_labels"]


class CRF(nn.Module):
    """Scores of each label at a sentence's first word, after each other label, and at its last word."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.num_labels
        self.start = nn.Parameter(torch.zeros(size))
        self.between = nn.Parameter(torch.zeros(size, size))
        self.end = nn.Parameter(torch.zeros(size))

    def forward(
        self, emissions: Emissions, labels: Int[Tensor, "batch length"], attention_mask: Int[Tensor, "batch length"]
    ) -> Float[Tensor, ""]:
        """Sum the negative log-likelihoods of the sentences, in float32 or wider.

        Args:
            emissions: the classifier's logits.
            labels: valid sequences; ``IGNORED`` at positions that are no words.
            attention_mask: 0 for padding, 1…n for the sentence within the row.
        """
        emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))
        chains = find_chains(labels, attention_mask)
        scores = self._scores(emissions.dtype)
        gold = _score_sum(emissions, labels.where(chains.words, 0).long(), chains, scores)
        return _log_partition_sum(emissions, chains, scores) - gold

    def _scores(self, dtype: torch.dtype) -> "Scores":
        allowed = allowed_transitions(len(self.start))
        params = self.start, self.between, self.end
        masks = (torch.from_numpy(mask).to(self.start.device) for mask in allowed)
        return Scores(*(p.to(dtype).where(mask, FORBIDDEN) for mask, p in zip(masks, params, strict=True)))


class Scores(NamedTuple):
    """Scores of the transitions, ``FORBIDDEN`` where a sequence would not be valid."""

    start: Float[Tensor, "num_labels"]
    between: Float[Tensor, "num_labels num_labels"]
    end: Float[Tensor, "num_labels"]


class Chains(NamedTuple):
    """The positions of a batch that are words, and each sentence's first and last."""

    words: Bool[Tensor, "batch length"]
    first: Bool[Tensor, "batch length"]
    last: Bool[Tensor, "batch length"]


def find_chains(labels: Int[Tensor, "batch length"], attention_mask: Int[Tensor, "batch length"]) -> Chains:
    """Find the words, which have a label, and each sentence's first and last."""
    words = labels != IGNORED
    starts = sentence_starts(attention_mask)
    ends = torch.cat((starts[:, 1:], torch.ones_like(starts[:, :1])), dim=1)
    return Chains(words, _first(words, starts), _first(words.flip(1), ends.flip(1)).flip(1))


def _first(words: Bool[Tensor, "batch length"], starts: Bool[Tensor, "batch length"]) -> Bool[Tensor, "batch length"]:
    before = words.cumsum(1) - words.long()
    return words & (before == before.where(starts, 0).cummax(1).values)


def _score_sum(
    emissions: Emissions, labels: Int[Tensor, "batch length"], chains: Chains, scores: Scores
) -> Float[Tensor, ""]:
    words, first, last = chains
    column = torch.arange(labels.shape[1], device=labels.device)
    newest = column.expand_as(labels).where(words, 0).cummax(1).values
    before = torch.cat((torch.zeros_like(labels[:, :1]), labels.gather(1, newest)[:, :-1]), dim=1)
    at_words = emissions.gather(2, labels[:, :, None])[:, :, 0]
    at_words = at_words + scores.start[labels].where(first, scores.between[before, labels])
    return at_words.where(words, 0).sum() + scores.end[labels].where(last, 0).sum()


def _log_partition_sum(emissions: Emissions, chains: Chains, scores: Scores) -> Float[Tensor, ""]:
    is_word, is_first = (mask.t()[:, :, None] for mask in (chains.words, chains.first))
    sums = torch.zeros_like(emissions[:, 0])
    collected = []
    for t, emission in enumerate(emissions.unbind(1)):
        inner = (sums[:, :, None] + scores.between).logsumexp(1)
        here = scores.start.where(is_first[t], inner) + emission
        sums = here.where(is_word[t], sums)
        collected.append(sums)
    totals = (torch.stack(collected) + scores.end).logsumexp(-1)
    return totals.where(chains.last.t(), 0).sum()
