"""Labelled graphs in batches, their splits, leaks between them, and what the training part says."""
