"""Workflow ``eos`` as a plugin of crystal: the record. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalcli.contracts import run_options as common
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Part
from crystalcli.contracts.request import Request
from crystalcli.contracts.sections import ReportedRun, Section
from crystalcli.contracts.workflow import Shown, Table, Work
from crystalcli.contracts.workflow_record import Workflow


@dataclass(frozen=True, kw_only=True)
class EosOptions:
    """What ``crystal eos`` asks."""

    structures: tuple[str, ...] = common.structures(ends=True)
    potential: str = common.potential()
    points: int = option(9, "volumes of each structure", min=5, max=99)
    range: float = option(0.08, "volumes from 1 - RANGE to 1 + RANGE of that of the file", min=0.005, max=0.3)
    relax: bool = option(False, "relax ions and volume first")
    device: str = common.device()


def _prepare(request: Request, host: Host) -> Work:
    from crystal_eos.work import Eos

    return Eos(request, host)


def _show(report: Mapping[str, Any]) -> Shown:
    rows = report["structures"]
    cells = [[r["id"], f"{r['volume']:.3f}", f"{r['energy']:.5f}", f"{r['bulk_modulus']:.1f}"] for r in rows]
    lines = [f"{r['id']}: {r['volume']:.3f} Å³/atom, {r['bulk_modulus']:.1f} GPa" for r in rows]
    lines.append(f"table -> {Path(report['output']) / 'eos.csv'}")
    table = Table(["structure", "V0 (Å³/atom)", "E0 (eV/atom)", "B0 (GPa)"], cells)
    return Shown(lines, table, [f"{f['id']}: {f['reason']}" for f in report["failed"]])


def _plan(described: Mapping[str, Any]) -> Shown:
    return Shown([f"{described['points']} volumes of each of {described['files']} files, by {described['potential']}"])


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystal_eos.sections import sections

    return sections(run)


def _example(folder: Path) -> list[str]:
    import ase.build
    import ase.io

    for metal, length in (("Cu", 3.55), ("Al", 4.1)):
        ase.io.write(folder / f"{metal}.cif", ase.build.bulk(metal, "fcc", a=length))
    return ["Cu.cif", "Al.cif", "--potential", "emt", "--relax"]


EOS = Workflow(
    name="eos",
    summary="Equations of state: energy against volume, its minimum and its curvature.",
    help="Writes eos.csv: equilibrium volume, energy, bulk modulus and its pressure derivative of every structure.",
    options=EosOptions,
    chooses={"potential": "potential"},
    prepare=_prepare,
    show=_show,
    plan=_plan,
    sections=_sections,
    writes=("eos.csv", "relaxed"),
    keeps=("points-*.json",),
    example=_example,
    references=("F. Birch, Phys. Rev. 71, 809 (1947), doi:10.1103/PhysRev.71.809",),
)


@hookimpl
def crystal_parts() -> list[Part]:
    """Offer the parts of this package."""
    return [EOS]
