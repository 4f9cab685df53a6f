"""``crystal models list | show | import``: trained models of others, under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.group import CrystalGroup
from crystalcli.cli.shared import Json, Overwrite, Quiet


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    group = typer.Typer(
        name="models", cls=CrystalGroup, no_args_is_help=True, help="Trained models of others: list, show, import them."
    )
    group.command("list", cls=CrystalCommand)(list_)
    group.command("show", cls=CrystalCommand)(show)
    group.command("import", cls=CrystalCommand)(import_)
    app.add_typer(group)


def _any_name(incomplete: str) -> list[str]:
    from crystalcli.engine.model import pretrained

    return [n for n in pretrained.names() if n.startswith(incomplete)]


Name = Annotated[str, typer.Argument(help="name of a model, as list shows it", autocompletion=_any_name)]


def list_(json: Json = False, quiet: Quiet = False) -> None:
    """List the models that can be had by name, and which of them are here."""
    from crystalcli.engine.model import pretrained

    face = Face(json=json, quiet=quiet)
    found = [_described(name) for name in pretrained.names()]
    for one in found:
        face.say(f"{one['name']}: {one['summary']}; {one['level']}; {one['licence']}; {_here(one)}")
    face.result({"models": found})


def show(name: Name, json: Json = False, quiet: Quiet = False) -> None:
    """Say what a model is: level of theory, licence, elements, references, where its file is."""
    face = Face(json=json, quiet=quiet)
    one = _described(name)
    if one["imported"]:
        from ase.data import chemical_symbols

        from crystalcli.engine.model.model_head import read_head

        spec = read_head(Path(one["file"]))["spec"]
        elements = sorted(spec["statistics"]["elements"])
        one |= {
            "elements": [chemical_symbols[z] for z in elements],
            "cutoff": spec["graph"]["options"].get("cutoff"),
            "architecture": spec["architecture"],
            "targets": [t["name"] for t in spec["targets"]],
        }
    for key, value in one.items():
        if isinstance(value, dict):
            shown = f"{value['name']} ({', '.join(f'{k} {v}' for k, v in value['options'].items())})"
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        face.say(f"{key}: {shown}")
    face.result(one)


def import_(
    name: Name,
    file: Annotated[Path | None, typer.Option("--file", help="its file, where the package is not installed")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a model file of ours from that of others; nothing in it is run, and another than the known one is refused.

    A model that is used by name, as in --potential NAME, is imported when it is first used.
    """
    from crystalcli.engine.model import pretrained

    face = Face(json=json, quiet=quiet)
    made = pretrained.file_for(name)
    there = made.is_file() and not overwrite
    if not there:
        pretrained.imported(name, file)
    face.say(f"{name}: {made}" + (" was there already" if there else ""))
    face.result({"name": name, "file": str(made), "imported": not there})


def _described(name: str) -> dict[str, Any]:
    from crystalcli.engine.model import pretrained

    part, file = pretrained.record(name), pretrained.file_for(name)
    return {
        "name": name,
        "summary": part.summary,
        "level": part.level,
        "licence": part.licence,
        "references": list(part.references),
        "package": part.package,
        "sha256": part.sha256,
        "install": part.install,
        "imported": file.is_file(),
        "file": str(file),
    }


def _here(one: dict[str, Any]) -> str:
    return "imported" if one["imported"] else f"not imported (crystal models import {one['name']})"
