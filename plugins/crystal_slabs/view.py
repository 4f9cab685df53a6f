"""What a person sees of ``crystal slabs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystal_slabs import PAIRS, PAIRS_TABLE, TABLE
from crystalcli.contracts.workflow import Shown, Table


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    metals = "; ".join(f"{lattice} {', '.join(names)}" for lattice, names in found["lattices"].items())
    return Shown(
        [
            f"{found['count']} slabs of {metals}; facets {', '.join(found['facets'])}; {found['kinds']}",
            f"adsorbates: {found['adsorbates']}",
            f"relaxed by {found['potential']} with {found['relaxer']} to {found['fmax']:g} eV/Å, "
            f"at most {found['steps']} steps",
        ]
    )


def shown(report: Mapping[str, Any]) -> Shown:
    """How it ended."""
    folder = Path(report["output"])
    rows = [
        [what, value, str(n["made"]), str(n["pairs"])]
        for what in ("facet", "kind", "config_type")
        for value, n in report["by"][what].items()
    ]
    lines = [f"{report['pairs']} pairs of {report['made']} structures, {len(report['by']['group'])} sets of elements"]
    lines += [f"left out, {reason}: {n}" for reason, n in report["left_out"].items()]
    by_adsorbate = ", ".join(f"{k} {n['pairs']}" for k, n in report["by"]["config_type"].items())
    by_facet = ", ".join(f"{k} {n['pairs']}" for k, n in report["by"]["facet"].items())
    lines += [f"pairs by adsorbate: {by_adsorbate}", f"pairs by facet: {by_facet}"]
    moved = f"mean displacement: {report['moved_slab']:.4f} Å of a slab's free atoms"
    if report["moved_adsorbate"] is not None:
        moved += f", {report['moved_adsorbate']:.4f} Å of an adsorbate's"
    lines.append(f"{moved}; {report['energy_gained']:.3f} eV and {report['steps']:.0f} steps from start to minimum")
    lines += [f"pairs -> {folder / PAIRS}", f"table -> {folder / TABLE}"]
    return Shown(lines, Table(["", "", "made", "pairs"], rows))


def shown_pairs(report: Mapping[str, Any]) -> Shown:
    """How pairing structures of files ended."""
    folder = Path(report["output"])
    moved = f"mean displacement {report['moved']:.4f} Å of atoms that may move"
    lines = [f"{report['pairs']} pairs, {len(report['failed'])} failed; {moved}"]
    further, lost = report["further_starts"], report["further_starts_not_made"]
    if further or lost:
        beside = f"; {lost} not made, their atoms were too near each other" if lost else ""
        lines.append(f"{further} further starts of them, which only train{beside}")
    lines += [f"pairs -> {folder / PAIRS}", f"table -> {folder / PAIRS_TABLE}"]
    return Shown(lines, None, [f"{f['id']}: {f['reason']}" for f in report["failed"]])
