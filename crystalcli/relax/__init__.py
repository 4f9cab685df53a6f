"""Structures → minima."""
