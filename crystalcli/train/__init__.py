"""Graph cache → model, its errors, and what they mean."""
