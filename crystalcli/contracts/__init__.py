"""What a plugin and the core promise each other: option models, part records, hooks, tensors between parts."""
