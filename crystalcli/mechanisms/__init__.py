"""Mechanisms: plugin manager, configuration, cache, data sets, models, run folders."""
