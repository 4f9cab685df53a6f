"""Structures in motion: temperatures, velocities, trajectories, and what is read off them."""
