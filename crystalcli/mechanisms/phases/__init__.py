"""Convex hulls and the decision which candidates to keep."""
