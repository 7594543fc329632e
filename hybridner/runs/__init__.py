"""A run on disk: options, checkpoints, metrics."""
