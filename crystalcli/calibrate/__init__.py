"""Trained model + structures that it has never seen → σ of the right size."""
