"""Options of the network, of the springs and of their descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError

STEPS = 10
"""Of a descent at least, where nobody says; fewer where nobody allows so many."""


@dataclass(frozen=True)
class DogssOptions:
    """Architecture ``dogss``."""

    width: int = option(64, "features of an atom, and of an edge", min=4, max=1024)
    n_conv: int = option(4, "convolutions", min=1, max=20)
    vectors: int = option(16, "vectors of an atom, by which it tells left from right; 0: none", min=0, max=256)
    norm: Literal["none", "batch", "layer"] = option("none", "normalisation of the messages")
    activation: Literal["softplus", "leaky_relu", "silu"] = option("softplus", "s in eqs. 1 to 4")


@dataclass(frozen=True)
class DescentOptions:
    """How the minimum of the springs is found, and differentiated."""

    step: float = option(0.0, "η of the descent; 0: half of the longest stable one of each structure", min=0.0)
    momentum: float = option(0.8, "β of the descent", min=0.0, max=0.99)
    min_steps: int = option(STEPS, "steps at least", min=0)
    max_steps: int = option(150, "steps at most", min=1)
    tolerance: float = option(5e-4, "a structure stops when no atom would move farther", unit="Å", min=1e-10)
    gradient: Literal["auto", "unrolled", "truncated", "implicit"] = option(
        "auto",
        "how it is learned from: through all steps (of given length), the last ones, or the minimum alone; auto: the "
        "minimum, but all steps where cells relax, whose soft directions a descent leaves early, and with --path",
    )
    last: int = option(20, "steps that --gradient truncated goes back through", min=1)

    def __post_init__(self) -> None:
        if self.max_steps < self.min_steps != STEPS:
            raise UsageError(f"--min-steps {self.min_steps} is more than --max-steps {self.max_steps}")


@dataclass(frozen=True)
class SpringsOptions(DescentOptions):
    """Head ``springs``."""

    hidden: int = option(64, "width of the layers behind the embedding of an edge", min=1, max=1024)
    n_hidden: int = option(2, "number of these layers", min=0, max=16)
    form: Literal["harmonic", "morse", "lennard-jones"] = option("harmonic", "energy of an edge")
    symmetric: bool = option(False, "both directions of an edge share one spring")
    constant: bool = option(False, "all springs are equally stiff; only their lengths are learned")
    path: bool = option(False, "learn from a quarter and half of the way, too; with --gradient unrolled only")
    lengths: float = option(
        0.0, "weight of the likelihood of the relaxed lengths of the edges; with it positions have a sigma", min=0.0
    )
    outer_rounds: int = option(1, "how often springs are predicted, each time where the last ones led", min=1, max=10)


@dataclass(frozen=True)
class DisplacementsOptions:
    """Head ``displacements``."""

    hidden: int = option(64, "width of the layers behind the embedding of an edge", min=1, max=1024)
    n_hidden: int = option(2, "number of these layers", min=0, max=16)
