"""``crystal label-sites`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.label_sites.options import LabelSitesOptions


def _prepare(request: Request, _reporter: Reporter) -> Work:
    from crystalcli.label_sites.run import Labelling

    return Labelling(request)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.label_sites.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.label_sites.view import planned

    return planned(described)


def _example(folder: Path) -> list[str]:
    import ase.build
    import ase.io

    for salt, length in (("NaCl", 5.6), ("KCl", 6.3)):
        atoms = ase.build.bulk(salt, "rocksalt", a=length, cubic=True)
        atoms.rattle(0.1, seed=len(salt))
        ase.io.write(folder / f"{salt}.cif", atoms)
    return ["NaCl.cif", "KCl.cif", "--label", "bond_valence", "--label", "effective_coordination"]


LABEL_SITES = Workflow(
    name="label-sites",
    summary="Compute labels of sites that need no quantum mechanics: bond valences, coordination, potential, "
    "frequency.",
    options=LabelSitesOptions,
    home="file",
    resumes=False,
    chooses={"potential": "potential"},
    prepare=_prepare,
    show=_show,
    plan=_plan,
    example=_example,
)
