"""Options of the architecture, with bounds and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class ThreeBodyOptions:
    """Architecture ``threebody``."""

    n_conv: int = option(4, "convolutions", min=1, max=20)
    width: int = option(96, "features per atom", min=1, max=4096)
    edge_width: int = option(48, "features per edge", min=1, max=4096)
    angle_channels: int = option(0, "numbers by which edges of one atom see each other; 0: no angles", min=0, max=256)
    l_max: int = option(2, "highest order of the Legendre polynomials of angles", min=1, max=3)
    norm: Literal["layer", "batch", "none"] = option("layer", "normalisation of the messages")
