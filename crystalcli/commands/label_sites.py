"""``crystal label-sites``: structures → the same structures with computed labels of their sites."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalcli.commands.command import CrystalCommand
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import names
from crystalcli.commands.shared import Json, Overwrite, Quiet
from crystalcli.vocabulary.errors import Exit

WORDS = ("bond_valence", "effective_coordination", "ewald_potential", "frequency")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("label-sites", cls=CrystalCommand)(label_sites)


def label_sites(
    inputs: Annotated[list[str], typer.Argument(help="files, folders, quoted globs or lists")],
    output: Annotated[Path, typer.Option("-o", "--output", help="extended XYZ to write")] = Path("labelled.extxyz"),
    label: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=lambda incomplete: [w for w in WORDS if w.startswith(incomplete)],
            help=f"{', '.join(WORDS)}; several times for several",
        ),
    ] = None,
    potential: Annotated[
        str,
        typer.Option(
            autocompletion=names("calculator"),
            help="for frequencies: model file, run folder, or name of a calculator",
        ),
    ] = "",
    charges: Annotated[
        str, typer.Option(help="column with the charges for ewald_potential, e; default: guessed oxidation states")
    ] = "",
    elements: Annotated[str, typer.Option(help="label the sites of these only: Si,O; default all")] = "",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute labels of sites that need no quantum mechanics: bond valences, coordination, potential, frequency."""
    from crystalcli.workflows.predict import site_labelling

    face = Face(json=json, quiet=quiet)
    plan = site_labelling.LabellingPlan(
        inputs=tuple(inputs),
        output=output,
        labels=tuple(dict.fromkeys(label or ())),
        potential=potential,
        charges=charges,
        elements=tuple(e.strip() for e in elements.split(",") if e.strip()),
        overwrite=overwrite,
    )
    report = site_labelling.run(plan, face.warn)
    for name, n in report.labelled.items():
        face.say(f"{name}: {n} of {report.sites} sites")
    face.say(f"{report.n} structures -> {output}")
    if not json:
        face.say(f"next: crystal build-graphs {output} --targets {site_labelling.units(plan.labels)}")
    code = Exit.SOME_FAILED if report.failures else Exit.OK
    face.result(
        {
            "output": str(output),
            "n": report.n,
            "sites": report.sites,
            "labelled": report.labelled,
            "failed": [{"id": f.id, "path": f.path, "stage": f.stage, "reason": f.reason} for f in report.failures],
            "exit_code": int(code),
        }
    )
    raise typer.Exit(code)
