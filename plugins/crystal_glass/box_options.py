"""What is asked of boxes, by ``crystal pack`` and ``crystal glass`` alike or by ``pack`` alone; loads nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError

WHAT, BOX = "What is made", "Its box"
EOS = "eos"
"""A volume that runs of the potential find."""


@dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """Compositions, and the boxes that atoms of them are put into."""

    formulas: tuple[str, ...] = option((), "compositions: Ti2O3, Al0.3Ti0.7, …", argument=True, metavar="FORMULA")
    grid: str = option("", "all binaries of these elements: Al,Ti,Zr", panel=WHAT)
    step: float = option(10.0, "of the grid", unit="%", min=0.1, max=50.0, panel=WHAT)
    ends: bool = option(False, "the pure elements of the grid, too", panel=WHAT)
    compositions: str = option("", "file with a composition a line", metavar="FILE", panel=WHAT)
    atoms: int = option(100, "in a box; amounts become whole numbers of them", min=2, max=100_000, panel=BOX)
    replicas: int = option(1, "boxes of every composition", min=1, max=10_000, panel=BOX)
    volume: str = option(
        "",
        "of the crystal, Å³ per atom; eos: of the melt at no pressure; nothing: looked up (see docs/glass.md)",
        metavar="Å³",
        panel=BOX,
    )
    expand: float = option(1.15, "the box is so many times the crystal's volume", min=0.5, max=5.0, panel=BOX)
    phases: tuple[str, ...] = option(
        (), "files of crystals, best with energies: their hull says the volume", files=True, panel=BOX
    )
    spheres: Literal["covalent", "published"] = option(
        "covalent",
        "widths in packing: 0.85 of each pair's covalent radii, or the one published width for all pairs",
        panel=BOX,
    )
    seed: int = common.seed()

    @property
    def given_volume(self) -> float:
        """Å³ per atom; 0 where none is said.

        Raises:
            UsageError: no volume.
        """
        if self.volume in ("", EOS):
            return 0.0
        try:
            found = float(self.volume)
        except ValueError:
            found = math.nan
        if not 0 < found < 1e4:
            raise UsageError(f"--volume '{self.volume}' is no volume per atom in Å³, nor {EOS}")
        return found


@dataclass(frozen=True, kw_only=True)
class PackOptions(BoxOptions):
    """Everything that ``crystal pack`` asks."""

    output: Path = common.output(Path("start.extxyz"), "file of the boxes, extended XYZ")
