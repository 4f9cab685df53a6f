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
    relax_run: str = option("", "run folder of crystal relax: its structures and what they relaxed to", metavar="RUN")
    match: Literal["order", "nearest"] = option(
        "order", "atoms by their order, or each to the nearest of its element, by the least sum of squares"
    )
    adsorbate: str = option("", "elements of the adsorbate, which gets the tag 2: C,O")
