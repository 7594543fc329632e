"""Speed, measured beside named baselines in one run."""
