"""Whether a potential is one: what ``crystal potential check`` does."""
