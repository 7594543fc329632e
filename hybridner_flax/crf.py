"""The scores of label sequences, and the loss of a conditional random field (Lafferty et al. 2001)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from hybridner.batches.encoding import IGNORED
from hybridner.config.model import ModelConfig
from hybridner.model.crf import FORBIDDEN, allowed_transitions
from hybridner_flax.layers import sentence_starts

Emissions = Float[Array, "batch length num_labels"]


class CRF(nnx.Module):
    """Scores of each label at a sentence's first word, after each other label, and at its last word."""

    def __init__(self, config: ModelConfig, **types: Any) -> None:
        size, dtype = config.num_labels, types["param_dtype"]
        self.start = nnx.Param(jnp.zeros(size, dtype))
        self.between = nnx.Param(jnp.zeros((size, size), dtype))
        self.end = nnx.Param(jnp.zeros(size, dtype))

    def __call__(
        self, emissions: Emissions, labels: Int[Array, "batch length"], attention_mask: Int[Array, "batch length"]
    ) -> Float[Array, ""]:
        """Sum the negative log-likelihoods of the sentences, in float32 or wider.

        Args:
            emissions: the classifier's logits.
            labels: valid sequences; ``IGNORED`` at positions that are no words.
            attention_mask: 0 for padding, 1…n for the sentence within the row.
        """
        emissions = emissions.astype(jnp.promote_types(emissions.dtype, jnp.float32))
        chains = find_chains(labels, attention_mask)
        scores = self._scores(emissions.dtype)
        gold = _score_sum(emissions, jnp.where(chains.words, labels, 0), chains, scores)
        return _log_partition_sum(emissions, chains, scores) - gold

    def _scores(self, dtype: Any) -> "Scores":
        allowed = allowed_transitions(len(self.start[...]))
        params = self.start, self.between, self.end
        return Scores(
            *(jnp.where(mask, p[...].astype(dtype), FORBIDDEN) for mask, p in zip(allowed, params, strict=True))
        )


class Scores(NamedTuple):
    """Scores of the transitions, ``FORBIDDEN`` where a sequence would not be valid."""

    start: Float[Array, "num_labels"]
    between: Float[Array, "num_labels num_labels"]
    end: Float[Array, "num_labels"]


class Chains(NamedTuple):
    """The positions of a batch that are words, and each sentence's first and last."""

    words: Bool[Array, "batch length"]
    first: Bool[Array, "batch length"]
    last: Bool[Array, "batch length"]


def find_chains(labels: Int[Array, "batch length"], attention_mask: Int[Array, "batch length"]) -> Chains:
    """Find the words, which have a label, and each sentence's first and last."""
    words = labels != IGNORED
    starts = sentence_starts(attention_mask)
    ends = jnp.concatenate((starts[:, 1:], jnp.ones_like(starts[:, :1])), axis=1)
    return Chains(words, _first(words, starts), _first(words[:, ::-1], ends[:, ::-1])[:, ::-1])


def _first(words: Bool[Array, "batch length"], starts: Bool[Array, "batch length"]) -> Bool[Array, "batch length"]:
    before = jnp.cumsum(words, axis=1) - words
    return words & (before == lax.cummax(jnp.where(starts, before, 0), axis=1))


def _score_sum(
    emissions: Emissions, labels: Int[Array, "batch length"], chains: Chains, scores: Scores
) -> Float[Array, ""]:
    words, first, last = chains
    column = jnp.arange(labels.shape[1])
    newest = lax.cummax(jnp.where(words, column, 0), axis=1)
    before = jnp.concatenate((jnp.zeros_like(labels[:, :1]), jnp.take_along_axis(labels, newest, 1)[:, :-1]), axis=1)
    at_words = jnp.take_along_axis(emissions, labels[:, :, None], 2)[:, :, 0]
    at_words = at_words + jnp.where(first, scores.start[labels], scores.between[before, labels])
    return jnp.sum(jnp.where(words, at_words, 0)) + jnp.sum(jnp.where(last, scores.end[labels], 0))


def _log_partition_sum(emissions: Emissions, chains: Chains, scores: Scores) -> Float[Array, ""]:
    def step(sums: Array, xs: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        emission, is_word, is_first = xs
        inner = jax.nn.logsumexp(sums[:, :, None] + scores.between, axis=1)
        here = jnp.where(is_first[:, None], scores.start, inner) + emission
        sums = jnp.where(is_word[:, None], here, sums)
        return sums, sums

    time_first = (jnp.swapaxes(emissions, 0, 1), chains.words.T, chains.first.T)
    _, sums = lax.scan(step, jnp.zeros_like(emissions[:, 0]), time_first)
    totals = jax.nn.logsumexp(sums + scores.end, axis=-1)
    return jnp.sum(jnp.where(chains.last.T, totals, 0))
