"""``crystal pack`` and ``crystal glass`` as a plugin: from a formula to a glass; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystal_glass.box_options import PackOptions
from crystal_glass.options import GlassOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Part
from crystalcli.contracts.request import Request
from crystalcli.contracts.run_options import ANYWHERE
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import OtherName, Workflow
from crystalcli.vocabulary.pictures import FORMATS

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section

TABLE, GLASSES, DIAGRAMS = "glasses.csv", "glasses", "energies"
COMPARED, CHEMISTRY, VOLTAGES = "compared.csv", "chemistry.csv", "voltages.csv"
LIKENESS = "likeness.csv"
DOUBTS = {
    "not_liquid": "atoms moved less than 1 Å at the end of the melt: no liquid",
    "crystalline": "may have crystallised",
    "not_relaxed": "not relaxed to --fmax",
}
"""What is warned of, by the key of the report that names the boxes."""
LABEL = "to-label.extxyz"
"""Frames to be labelled, of a box and of all."""
BATCHES, REFERENCES, EQUATIONS = "batches", "references", "equations-of-state"
ELEMENTS = "references.json"
"""What the energies of the elements were found to be."""


def _prepare_pack(request: Request, host: Host) -> Work:
    from crystal_glass.pack_work import Packing

    return Packing(request, host)


def _show_pack(report: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import packed_boxes

    return packed_boxes(report)


def _plan_pack(described: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import planned_boxes

    return planned_boxes(described)


def _example_pack(_folder: Path) -> list[str]:
    return ["Ti2O3", "Al0.3Ni0.7", "--atoms", "40", "--replicas", "2"]


PACK = Workflow(
    name="pack",
    summary="Pack atoms of a composition into random boxes without overlaps, as the beginning of a melt.",
    help="""Writes boxes as extended XYZ, and in each where its volume is from. A box depends on its composition,
replica, seed and the options of the box, and on nothing else.""",
    options=PackOptions,
    home="file",
    resumes=False,
    prepare=_prepare_pack,
    show=_show_pack,
    plan=_plan_pack,
    example=_example_pack,
    references=("10.1103/PhysRevLett.97.170201",),
)


def _prepare(request: Request, host: Host) -> Work:
    from crystal_glass.glass_work import Glasses

    return Glasses(request, host)


def _more(request: Request, report: Mapping[str, Any]) -> bool:
    """Whether energies are to be compared, or voltages told, that a finished run has not."""
    from crystal_glass.beside_trajectories import folder_print
    from crystal_glass.energies import fingerprint

    o: GlassOptions = request.options
    asked = {
        "compared_with": fingerprint(o.compare) if Path(o.compare).is_file() else o.compare,
        "trajectories_of": folder_print(o.trajectories),
        "voltage_of": o.voltage,
    }
    return any(value and value != report[name] for name, value in asked.items())


def _show(report: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import planned

    return planned(described)


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystal_glass.sections import sections

    return sections(run)


def _example(_folder: Path) -> list[str]:
    words = "CuNi Al --atoms 14 --potential emt --melt 2000 --melt-steps 60 --quench-steps 60 --hold-steps 40"
    some = "--frame-every 20 --last-steps 20 --batch-size 1 --references none --settle 0 --relax ions --relax-steps 20"
    return [*words.split(), *some.split()]


GLASS = Workflow(
    name="glass",
    summary="Melt and quench boxes of a composition, side by side: from a formula to a glass and its energy.",
    help="""Packs atoms, melts and quenches them, relaxes the glass, and says what it is like: a folder for each box in
glasses/, glasses.csv over all, and energies by composition for a --grid. A box that a guard stops begins again with
another seed and half the step in the melt; what is given up is listed, and the exit code is then 3. The same command
again, or --resume RUN, goes on after a stop or a kill, within any stage. crystal md --sampler melt-quench
--composition FORMULA is the same.""",
    options=GlassOptions,
    chooses={"potential": "potential", "sampler": "sampler", "relaxer": "relaxer"},
    prepare=_prepare,
    show=_show,
    headline=lambda report: f"{report['glasses']} glasses of {report['boxes']} boxes",
    plan=_plan,
    sections=_sections,
    free=ANYWHERE | {"compare", "trajectories", "voltage", "pictures"},
    more=_more,
    also=(OtherName("md", "--sampler", "melt-quench", {"--composition": ""}),),
    talks=True,
    writes=(
        *(TABLE, GLASSES, LABEL, ELEMENTS, COMPARED, CHEMISTRY, LIKENESS, VOLTAGES),
        *(f"{name}.{ending}" for name in (f"{DIAGRAMS}-*", "compared", "voltages") for ending in FORMATS),
    ),
    keeps=(BATCHES, REFERENCES, EQUATIONS),
    example=_example,
    references=("10.48550/arXiv.2307.06458", "10.1103/PhysRevLett.97.170201"),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the workflows."""
    return [PACK, GLASS]
