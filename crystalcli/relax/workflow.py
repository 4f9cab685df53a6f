"""``crystal relax`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.run_options import ANYWHERE
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.relax.options import CIFS, SHARDS, STRUCTURES, TABLE, TRAJECTORIES, UNFINISHED, RelaxOptions

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section


def _prepare(request: Request, reporter: Reporter) -> Work:
    from crystalcli.relax.run import Relaxation

    return Relaxation(request, reporter)


def _headline(report: Mapping[str, Any]) -> str:
    from crystalcli.relax.view import headline

    return headline(report)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.relax.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.relax.view import planned

    return planned(described)


def _example(folder: Path) -> list[str]:
    import ase.build
    import ase.io

    for k, (metal, length) in enumerate({"Cu": 3.5, "Al": 4.2, "Ni": 3.6}.items()):
        atoms = ase.build.bulk(metal, "fcc", a=length, cubic=True)
        atoms.rattle(0.1, seed=k)
        ase.io.write(folder / f"{metal}.cif", atoms)
    return ["Cu.cif", "Al.cif", "Ni.cif", "--potential", "emt", "--cell", "full", "--batch-size", "1"]


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystalcli.relax.sections import sections

    return sections(run)


RELAX = Workflow(
    name="relax",
    summary="Relax structures: move atoms, and cells if wanted, until the forces vanish.",
    help="""Writes relaxed.extxyz (energy, forces, stress; full precision) and relaxation.csv into the run folder.
A structure that does not converge, fails or trips a guard keeps its last sane geometry and is reported with
converged: false and its reason; the others go on and the exit code is 3.
The same command again, or --resume RUN, goes on after a stop or a kill.""",
    options=RelaxOptions,
    chooses={"potential": "potential", "relaxer": "relaxer"},
    prepare=_prepare,
    show=_show,
    headline=_headline,
    plan=_plan,
    sections=_sections,
    free=ANYWHERE,
    writes=(STRUCTURES, TABLE, CIFS, TRAJECTORIES),
    keeps=(SHARDS, UNFINISHED),
    example=_example,
)
