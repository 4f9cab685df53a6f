"""Structures on their way to a minimum: coordinates, constraints, guards, the loop."""
