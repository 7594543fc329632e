"""Bugs of the model that reads words: features, relative positions, the LSTM's second direction, the CRF."""

import torch
import torch.nn.functional as F

import hybridner_torch.crf as crf_module
import hybridner_torch.encoder as encoder_module
import hybridner_torch.learner as learner_module
import hybridner_torch.lstm as lstm_module
import hybridner_torch.words as words_module
from hybridner.model.dropout import INPUT_SITES
from hybridner.text.vocabulary import FIRST_AFFIX, FIRST_CHARACTER, PAD
from hybridner_torch.dropout import dropout
from parity_tests.bugs.registry import bug, wrap


def words_bug(rung, name):
    return bug(rung, name, reads="words")


def vectors_bug(rung, name):
    return bug(rung, name, reads="words with vectors")


@words_bug("activations", "an affix is looked up one row too far")
def _(patch):
    def shifted(forward, self, ids, *others):
        ids = ids.clone()
        ids[..., FIRST_AFFIX:FIRST_CHARACTER] = (ids[..., FIRST_AFFIX:FIRST_CHARACTER] + 1) % self.affix.num_embeddings
        return forward(self, ids, *others)

    wrap(patch, words_module.WordFeatures, "forward", shifted)


@words_bug("activations", "the places after a short word count as characters")
def _(patch):
    def unmasked(convolved, self, ids):
        is_pad = ids == PAD
        return convolved(self, ids.masked_fill(is_pad, 1))

    wrap(patch, words_module.WordFeatures, "_convolved", unmasked)


@words_bug("activations", "the convolutions see the characters in reverse")
def _(patch):
    wrap(patch, words_module.WordFeatures, "_convolved", lambda convolved, self, ids: convolved(self, ids.flip(-1)))


@vectors_bug("activations", "a word gets the vector of its neighbour")
def _(patch):
    wrap_vectors(patch, lambda vectors: vectors.roll(1, dims=1))


@vectors_bug("activations", "vectors are scaled to length 1")
def _(patch):
    wrap_vectors(patch, lambda vectors: F.normalize(vectors, dim=-1))


@vectors_bug("activations", "vectors are rounded to bfloat16")
def _(patch):
    wrap_vectors(patch, lambda vectors: vectors.bfloat16().float())


@words_bug("activations", "a relative distance has the wrong sign")
def _(patch):
    wrap(patch, encoder_module, "clipped_distances", lambda distances, *args: distances(*args).t())


@words_bug("activations", "distances beyond the largest are one too large")
def _(patch):
    def late(distances, length, largest, device):
        return (distances(length, 10_000, device) - 10_000).clamp(-largest, largest - 1) + largest

    wrap(patch, encoder_module, "clipped_distances", late)


@words_bug("activations", "the last LayerNorm is left out")
def _(patch):
    def without(init, self, config):
        init(self, config)
        self.layer_norm.forward = lambda x: x

    wrap(patch, encoder_module.Encoder, "__init__", without)


@words_bug("activations", "the backward LSTM is not reset where a sentence ends")
def _(patch):
    def counted(run, *args):
        *layers, x, starts = args
        if layers[0].reverse:
            starts = torch.arange(len(starts))[:, None].expand(starts.shape) == 0
        return run(*layers, x, starts)

    def named(init, self, config):
        init(self, config)
        self.linear_ih.reverse, self.reverse_linear_ih.reverse = False, True

    wrap(patch, lstm_module.LSTM, "__init__", named)
    wrap(patch, lstm_module, "_run", counted)


@words_bug("activations", "both directions read from left to right")
def _(patch):
    patch.setattr(torch.Tensor, "flip", lambda self, *dims: self)


@words_bug("gradients", "transposed transitions")
def _(patch):
    wrap_scores(patch, lambda scores: scores._replace(between=scores.between.t()))


@words_bug("gradients", "the scores of a sentence's first label are left out")
def _(patch):
    wrap_scores(patch, lambda scores: scores._replace(start=scores.start.detach() * 0))


@words_bug("gradients", "the scores of a sentence's last label are left out")
def _(patch):
    wrap_scores(patch, lambda scores: scores._replace(end=scores.end.detach() * 0))


@words_bug("gradients", "an I may follow an O")
def _(patch):
    def loose(allowed, num_labels):
        found = allowed(num_labels)
        between = found.between.copy()
        between[0, 2] = True
        return found._replace(between=between)

    wrap(patch, crf_module, "allowed_transitions", loose)


@words_bug("gradients", "the chain runs over the end of a sentence")
def _(patch):
    def joined(find, labels, attention_mask):
        return find(labels, (attention_mask != 0).int())

    wrap(patch, crf_module, "find_chains", joined)


@words_bug("gradients", "words without a label take part in the chain")
def _(patch):
    def whole(log_partition, emissions, chains, scores):
        return log_partition(emissions, chains._replace(words=torch.ones_like(chains.words)), scores)

    wrap(patch, crf_module, "_log_partition_sum", whole)


@words_bug("gradients", "the loss is the mean over words, not sentences")
def _(patch):
    wrap(patch, learner_module, "num_losses", lambda count, config, arrays: (arrays.labels != -100).sum())


@words_bug("dropout", "the features are not dropped")
def _(patch):
    patch.setattr(words_module, "dropout", lambda x, *_: x)


@vectors_bug("dropout", "vectors are dropped twice")
def _(patch):
    def dropped(forward, self, ids, stream, vectors):
        return forward(self, ids, stream, dropout(vectors, self.dropout, INPUT_SITES, stream))

    wrap(patch, words_module.WordFeatures, "forward", dropped)


@words_bug("dropout", "the LSTM's input is not dropped")
def _(patch):
    patch.setattr(lstm_module, "dropout", lambda x, *_: x)


@words_bug("dropout", "attention drops at the rate of the layers")
def _(patch):
    def same_rate(init, self, config):
        init(self, config)
        self.dropout = config.layer_dropout

    wrap(patch, encoder_module.SelfAttention, "__init__", same_rate)


@words_bug("optimizer", "biases and transitions decay")
def _(patch):
    wrap(patch, learner_module, "decays", lambda decays, kind, options: True)


@words_bug("optimizer", "the second beta is PyTorch's default")
def _(patch):
    def default(make, self):
        optimizer = make(self)
        for group in optimizer.param_groups:
            group["betas"] = (0.9, 0.999)
        return optimizer

    wrap(patch, learner_module.Learner, "_new_optimizer", default)


def wrap_vectors(patch, change):
    def changed(forward, self, ids, stream, vectors):
        return forward(self, ids, stream, change(vectors))

    wrap(patch, words_module.WordFeatures, "forward", changed)


def wrap_scores(patch, change):
    wrap(patch, crf_module.CRF, "_scores", lambda scores, self, dtype: change(scores(self, dtype)))
