"""The graph cache: written, checked, joined, and gathered from."""
