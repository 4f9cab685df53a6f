"""What a baseline says of structures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Guess:
    """What a baseline says of structures: (n,) values per atom for a total, and what was chosen on the way."""

    values: NDArray[np.float64]
    facts: dict[str, float] = field(default_factory=dict)
