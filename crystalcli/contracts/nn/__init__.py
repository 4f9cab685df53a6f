"""Building blocks that several methods share: radial bases, gated convolution, pooling, MLP."""
