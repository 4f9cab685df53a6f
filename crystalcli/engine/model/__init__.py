"""Featurizer, architecture and head as one model, one file, or an ensemble."""
