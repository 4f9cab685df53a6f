"""What a person sees of packing and of glasses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown

MANY = 12
"""More boxes than this are not listed one by one."""


def planned_boxes(found: Mapping[str, Any]) -> Shown:
    """The resolved plan of packing."""
    boxes = found["boxes"]
    return Shown([*_listed(boxes), f"{len(boxes)} boxes -> {found['output']}"])


def packed_boxes(report: Mapping[str, Any]) -> Shown:
    """How packing ended."""
    boxes = report["boxes"]
    nearest = min(b["nearest"] for b in boxes)
    lines = [*_listed(boxes), f"{len(boxes)} boxes; no two atoms nearer than {nearest:.2f} of their diameters"]
    return Shown(
        [*lines, f"boxes -> {report['output']}"], warnings=[f"{f['id']}: {f['reason']}" for f in report["failed"]]
    )


def _listed(boxes: list[Mapping[str, Any]]) -> list[str]:
    return [
        f"{b['id']}: {b['atoms']} atoms, {b['crystal_volume']:.3f} Å³ an atom in the crystal ({b['volume_source']})"
        for b in (boxes if len(boxes) <= MANY else [])
    ]
