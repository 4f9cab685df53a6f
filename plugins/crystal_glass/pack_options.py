"""What ``crystal pack`` asks; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crystal_glass.box_options import BoxOptions
from crystalcli.contracts import run_options as common


@dataclass(frozen=True, kw_only=True)
class PackOptions(BoxOptions):
    """Everything that ``crystal pack`` asks."""

    output: Path = common.output(Path("start.extxyz"), "file of the boxes, extended XYZ")
