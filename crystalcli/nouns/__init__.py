"""Nouns: structures with their labels, neighbor lists, graphs."""
