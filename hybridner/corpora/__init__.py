"""Labelled data: reading, checking, converting, splitting."""
