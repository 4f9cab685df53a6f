"""Structures → trajectories."""
