"""What ``crystal pairs`` asks; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option


@dataclass(frozen=True, kw_only=True)
class PairsOptions:
    """Everything that ``crystal pairs`` asks."""

    structures: tuple[str, ...] = common.structures()
    relaxed: tuple[str, ...] = option((), "files or folders of the relaxed structures, matched by id", files=True)
    initial: str = option(
        "", "array of the files that says where the atoms began, of structures that are relaxed: initial_positions"
    )
    relax_run: str = option("", "run folder of crystal relax: its structures and what they relaxed to", metavar="RUN")
    match: Literal["order", "species", "nearest"] = option(
        "order",
        "atoms by their order, by their order among those of their element, or each to the nearest of its element, by "
        "the least sum of squares",
    )
    cells: bool = option(False, "cells relax, too: relaxed_strain is written, and positions in the start's cell")
    adsorbate: str = option("", "elements of the adsorbate, which gets the tag 2: C,O")
