"""Words, sentences and tokenizers."""
