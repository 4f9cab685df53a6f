"""``crystal predict``: model + structures → values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crystalcli.commands.command import CrystalCommand
from crystalcli.commands.console import Face
from crystalcli.commands.shared import (
    Device,
    DryRun,
    Jobs,
    Json,
    MemoryPerJob,
    Overwrite,
    Pictures,
    Quiet,
    Scheduler,
    SecondsPerFile,
    Threads,
)
from crystalcli.vocabulary.pictures import DEFAULT

if TYPE_CHECKING:
    from crystalcli.mechanisms.running.places import Place
    from crystalcli.mechanisms.running.tasks import Limits
    from crystalcli.workflows.predict.prediction_reading import Reading


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("predict", cls=CrystalCommand)(predict)


def predict(
    model: Annotated[Path, typer.Argument(help="model file, or the folder of the run that made it (runs/latest)")],
    inputs: Annotated[list[str], typer.Argument(help="files, folders, quoted globs, lists or graph caches")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="file.csv, .jsonl, .extxyz, .json, .magmom or .cif; default CSV on stdout"),
    ] = None,
    format: Annotated[
        Literal["csv", "jsonl", "extxyz", "pymatgen", "magmom", "cif"] | None,
        typer.Option(
            "--format", help="default by the output's ending; pymatgen: JSON; magmom: for an INCAR; cif: structures"
        ),
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="label to compare with: [TARGET=]KEY[/atom|*atoms]; default TARGET")
    ] = None,
    allow_unseen_elements: Annotated[
        bool, typer.Option("--allow-unseen-elements", help="predict structures with elements training never saw")
    ] = False,
    as_results: Annotated[
        bool, typer.Option("--as-results", help="extended XYZ: energy (total, eV), forces, stress as ASE's own results")
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
    jobs: Jobs = 0,
    scheduler: Scheduler = "",
    seconds_per_file: SecondsPerFile = 60.0,
    memory_per_job: MemoryPerJob = 8.0,
    pictures: Pictures = DEFAULT,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict the properties of structures, in input order, with units; errors where the inputs have labels."""
    from crystalcli.mechanisms.running.places import Place
    from crystalcli.mechanisms.running.tasks import Limits

    face = Face(json=json, quiet=quiet)
    place, limits = Place.of(jobs, scheduler), Limits.of(seconds_per_file, memory_per_job)
    with nullcontext() if dry_run else _begun(model, inputs, labels or (), place, limits, face) as reading:
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
            scheduler=scheduler,
            as_results=as_results,
            pictures=pictures,
        )
        shown = PredictionFace(face, wish, dry_run=dry_run)
        raise typer.Exit(shown.describe() if reading is None else shown.run(reading))


def _begun(
    model: Path, inputs: Sequence[str], labels: Sequence[str], place: Place, limits: Limits, face: Face
) -> Reading:
    """The reading of the inputs: its workers begin while torch, which takes longest, is loaded."""
    from crystalcli.mechanisms.models.model_fields import recipe_in_head
    from crystalcli.mechanisms.models.model_head import named_by, read_head
    from crystalcli.nouns.structures.read_options import ReadOptions
    from crystalcli.workflows.graphs.build_graphs_work import Work
    from crystalcli.workflows.predict.prediction_reading import Reading

    recipe = recipe_in_head(read_head(named_by(model)))
    reading = ReadOptions(labels="needed" if labels else "welcome")
    return Reading(inputs, Work.of(recipe, reading), place, limits=limits, say=face.warn)
