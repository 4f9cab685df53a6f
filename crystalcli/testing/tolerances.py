"""Named tolerances of the contract tests; relative to the size of the compared values unless said."""

from __future__ import annotations

SAME_FLOAT64 = 1e-8
"""Two ways to the same number in float64: symmetries, batches."""

SINGLE_PRECISION = 2e-4
"""float32 against float64."""

GRADIENT = 1e-6
"""Automatic against central differences in float64."""

STEP = 1e-4
"""Displacement of the central differences, Å (or units of the embedding)."""

SMOOTH = 1e-6
"""Largest jump allowed when an edge appears or disappears at a smooth cutoff, moved by :data:`ACROSS`."""

ACROSS = 1e-5
"""Distance from the cutoff, on both sides, at which a jump is looked for, Å."""
