"""Accuracy of named systems, trained and scored on one corpus in one run."""
