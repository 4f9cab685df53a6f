"""Structure files → graph cache."""
