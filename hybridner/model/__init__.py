"""The model as both frameworks see it: weights, protocols, dropout, loading a backend by name."""
