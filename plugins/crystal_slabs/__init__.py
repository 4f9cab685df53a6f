"""``crystal slabs`` as a plugin: slabs, and where a potential takes their atoms; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystal_slabs.options import PairsOptions, SlabsOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Part
from crystalcli.contracts.request import Request
from crystalcli.contracts.run_options import ANYWHERE
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow

PAIRS, TABLE, PAIRS_TABLE = "pairs.extxyz", "slabs.csv", "pairs.csv"
STARTS, SEAL, RELAXED = "starts.extxyz", "starts.sha256", "relaxed"


def _prepare(request: Request, host: Host) -> Work:
    from crystal_slabs.work import Slabs

    return Slabs(request, host)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystal_slabs.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystal_slabs.view import planned

    return planned(described)


def _example(_folder: Path) -> list[str]:
    words = "--elements Cu,Au,Ni --adsorbates H,none --count 6 --potential emt --layers 2-3 --fmax 0.05 --steps 1000"
    return words.split()


SLABS = Workflow(
    name="slabs",
    summary="Make slabs with adsorbates, and relax them: pairs of start and relaxed structure.",
    help="""Writes into the run folder pairs.extxyz (every structure at its start, with relaxed_positions, tags,
move_mask and both energies) and slabs.csv (every structure that was made, and why one is left out).
Structure k depends on the seed, k and the options that say what is made, and on nothing else.
The same command again, or --resume RUN, goes on after a stop or a kill.""",
    options=SlabsOptions,
    chooses={"potential": "potential", "relaxer": "relaxer"},
    prepare=_prepare,
    show=_show,
    headline=lambda report: f"{report['pairs']} pairs of {report['made']} structures",
    plan=_plan,
    free=ANYWHERE,
    writes=(PAIRS, TABLE),
    keeps=(STARTS, SEAL, RELAXED),
    example=_example,
    references=("10.1103/PhysRevLett.125.173001",),
)


def _prepare_pairs(request: Request, host: Host) -> Work:
    from crystal_slabs.pairs_work import PairsFrom

    return PairsFrom(request, host)


def _show_pairs(report: Mapping[str, Any]) -> Shown:
    from crystal_slabs.view import shown_pairs

    return shown_pairs(report)


def _plan_pairs(described: Mapping[str, Any]) -> Shown:
    return Shown([f"pairs from {described['from']}; atoms matched by {described['match']}"])


def _example_pairs(folder: Path) -> list[str]:
    import ase.build
    import ase.io

    for name, shift in (("starts", 0.0), ("ends", 0.1)):
        frames = []
        for metal in ("Cu", "Al"):
            atoms = ase.build.fcc111(metal, (2, 2, 2), vacuum=5.0)
            atoms.positions[-1] += shift
            atoms.info = {"id": metal}
            frames.append(atoms)
        ase.io.write(folder / f"{name}.extxyz", frames)
    return ["starts.extxyz", "--relaxed", "ends.extxyz"]


PAIRS_FROM = Workflow(
    name="pairs",
    summary="Pair structures with what they relaxed to: files, trajectories, or a run of crystal relax.",
    help="""Writes pairs.extxyz (each structure at its start, with relaxed_positions, tags, move_mask) and pairs.csv.
Structures are matched by id with those of --relaxed; without it every file is a trajectory, of which the first and the
last frame count. A pair that does not fit is listed with its reason; the others go on and the exit code is 3.""",
    options=PairsOptions,
    prepare=_prepare_pairs,
    show=_show_pairs,
    headline=lambda report: f"{report['pairs']} pairs",
    plan=_plan_pairs,
    writes=(PAIRS, PAIRS_TABLE),
    example=_example_pairs,
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the workflows."""
    return [SLABS, PAIRS_FROM]
