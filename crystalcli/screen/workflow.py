"""``crystal screen`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Choice, PlanFile, Word, Workflow
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.relax.options import UNFINISHED
from crystalcli.screen.options import (
    CALL,
    CALLS,
    CURVE,
    FAMILIES,
    HULL,
    JOURNALS,
    MODEL,
    MODELS,
    PHASES,
    PREDICTIONS,
    STAGES,
    STRUCTURES,
    SURVIVORS,
    TABLE,
    ScreenOptions,
)
from crystalcli.train.choice import flags_of
from crystalcli.vocabulary.pictures import FORMATS

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section


def _prepare(request: Request, host: Host) -> Work:
    from crystalcli.screen.run import Screening

    return Screening(request, host)


def _headline(report: Mapping[str, Any]) -> str:
    from crystalcli.screen.view import headline

    return headline(report)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.screen.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.screen.view import planned

    return planned(described)


def _commands(path: Path) -> Sequence[tuple[str, str]]:
    from crystalcli.screen.reading import commands

    return commands(path)


def _choose(word: Word) -> Choice:
    """The parts of the ensemble that is to be trained; none with a model, or where a plan says them."""
    if word("--model", None) or word("--campaign", None):
        return Choice([])
    reg = registry()
    arch = cast(Architecture, reg.get("architecture", word("--arch", None) or reg.default("architecture")))
    head = cast(Head, reg.get("head", arch.head))
    featurizer = cast(Featurizer, reg.get("featurizer", arch.featurizer))
    return Choice(flags_of(featurizer, arch, head), {"epochs": arch.recipe.epochs, "lr": arch.recipe.lr})


EXAMPLE = """
candidates = "alloys.extxyz"
train = 12
[references]
Cu = -0.007
Pd = 0.0
[training]
ensemble = 2
epochs = 2
[[stages]]
name = "start"
cost = 0
given = true
[[stages]]
name = "relaxed"
cost = 1
potential = "emt"
cell = "isotropic"
"""


def _example(folder: Path) -> list[str]:
    import ase.build
    import ase.io
    import numpy as np

    rng, made = np.random.default_rng(0), []
    for k in range(18):
        atoms = ase.build.bulk("Cu", "fcc", a=3.75, cubic=True).repeat((1, 1, 1 + k % 2))
        atoms.symbols = ["Cu", "Pd", *rng.choice(["Cu", "Pd"], len(atoms) - 2)]
        atoms.rattle(0.05, seed=k)
        made.append(atoms)
    ase.io.write(folder / "alloys.extxyz", made)
    (folder / "plan.toml").write_text(EXAMPLE, encoding="utf-8")
    return ["--campaign", "plan.toml"]


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystalcli.screen.sections import sections

    return sections(run)


SCREEN = Workflow(
    name="screen",
    summary="Screen candidate phases: predict, build the convex hull, decide with the uncertainty of the prediction.",
    help="""Writes screening.csv (formation energy, sigma, distance to the hull, decision and its reason for every
candidate), survivors.txt and pictures of the hulls into the run folder. With --campaign all stages of a screening:
screening.csv then says of every candidate how far it came and why, stages.csv what every stage cost.
The same command again, or --resume RUN, goes on after a stop or a kill.""",
    options=ScreenOptions,
    chooses=FAMILIES,
    choose=_choose,
    plan_file=PlanFile(
        "campaign",
        CALL | {"candidates"},
        _commands,
        "another -o FOLDER with --results-of {run} takes the results of stages that are as they were",
    ),
    talks=True,
    prepare=_prepare,
    show=_show,
    headline=_headline,
    plan=_plan,
    sections=_sections,
    free=CALL,
    writes=(
        TABLE,
        SURVIVORS,
        PHASES,
        STAGES,
        STRUCTURES,
        *(f"{HULL}*.{ending}" for ending in FORMATS),
        *(f"{CURVE}.{ending}" for ending in ("csv", *FORMATS)),
        MODEL,
        MODELS,
        JOURNALS,
        CALLS,
    ),
    keeps=(PREDICTIONS, UNFINISHED),
    example=_example,
)
