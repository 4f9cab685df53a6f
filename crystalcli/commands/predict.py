"""``crystal predict``: model + structures → values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crystalcli.commands.command import CrystalCommand
from crystalcli.commands.console import Face
from crystalcli.commands.shared import Device, DryRun, Json, Overwrite, Quiet, Threads


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("predict", cls=CrystalCommand)(predict)


def predict(
    model: Annotated[Path, typer.Argument(help="model file, or the folder of the run that made it (runs/latest)")],
    inputs: Annotated[list[str], typer.Argument(help="files, folders, quoted globs, lists or graph caches")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="file.csv, .jsonl, .extxyz, .json or .magmom; default CSV on stdout"),
    ] = None,
    format: Annotated[
        Literal["", "csv", "jsonl", "extxyz", "pymatgen", "magmom"],
        typer.Option("--format", help="default by the output's ending; pymatgen: JSON; magmom: lines for an INCAR"),
    ] = "",
    labels: Annotated[
        list[str] | None, typer.Option(help="label to compare with: [TARGET=]KEY[/atom|*atoms]; default TARGET")
    ] = None,
    allow_unseen_elements: Annotated[
        bool, typer.Option("--allow-unseen-elements", help="predict structures with elements training never saw")
    ] = False,
    latent: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write what the network makes of every site: file.npz")
    ] = None,
    similar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="list for every site those of this --latent file most like it")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="structures at a time", min=1)] = 64,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the properties of structures, in input order, with units; errors where the inputs have labels."""
    from crystalcli.commands.prediction_face import PredictionFace, PredictionWish

    wish = PredictionWish(
        model=model,
        inputs=tuple(inputs),
        output=output,
        format=format,
        labels=tuple(labels or ()),
        allow_unseen=allow_unseen_elements,
        batch_size=batch_size,
        device=device,
        threads=threads,
        overwrite=overwrite,
        latent=latent,
        similar=similar,
    )
    face = PredictionFace(Face(json=json, quiet=quiet), wish)
    raise typer.Exit(face.describe() if dry_run else face.run())
