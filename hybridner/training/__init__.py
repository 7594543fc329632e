"""The training loop and what prepares it."""
