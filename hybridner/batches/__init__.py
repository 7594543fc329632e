"""Sentences as arrays: encoding, packing, batches."""
