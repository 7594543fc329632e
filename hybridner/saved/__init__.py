"""A model on disk: its folder, its card, the original's checkpoint."""
