"""Options of the architecture ``pair-moments``."""

from __future__ import annotations

from dataclasses import dataclass

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class PairMomentsOptions:
    """Architecture ``pair-moments``."""

    width: int = option(32, "features per atom", min=1, max=4096)
    pair_channels: int = option(32, "channels of the pair term", min=1, max=1024)
    pair_intervals: int = option(45, "knots of the pair term between 0 and the cutoff", min=4, max=1000)
    moment_channels: int = option(8, "channels of the moments, which see angles; 0: none", min=0, max=256)
    moment_intervals: int = option(12, "knots of the moments between 0 and the cutoff", min=4, max=1000)
    smoothing: float = option(1000.0, "penalty on pair terms that wiggle where there are no data", min=0.0, max=1e6)
