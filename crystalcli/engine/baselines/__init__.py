"""Baselines that are solved, not trained."""
