"""Scores on labelled data, comparisons, reports."""
