"""Corpora, label schemes, tokenizers, alignment and batches: numpy and data libraries only."""
