"""Model + structures → values."""
