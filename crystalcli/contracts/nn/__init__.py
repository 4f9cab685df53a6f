"""Building blocks that several methods share: bases, envelopes, harmonics, gated sums, norms, losses."""
