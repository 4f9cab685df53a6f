"""``crystal calibrate``: a trained model and labelled structures it has never seen → σ of the right size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crystalcli.commands.command import CrystalCommand
from crystalcli.commands.console import Face
from crystalcli.commands.shared import Device, Json, Overwrite, Quiet, Threads
from crystalcli.vocabulary.errors import Exit, UsageError


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("calibrate", cls=CrystalCommand)(calibrate)


def calibrate(
    model: Annotated[Path, typer.Argument(help="model file, or the folder of the run that made it (runs/latest)")],
    inputs: Annotated[
        list[str],
        typer.Argument(help="labelled structures that trained nothing: files, folders, quoted globs, lists or caches"),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="model file to write; default NAME-calibrated.safetensors")
    ] = None,
    method: Annotated[
        Literal["scale", "conformal"],
        typer.Option(help="scale: sigma times a factor; conformal: intervals of given levels, too"),
    ] = "conformal",
    levels: Annotated[str, typer.Option(help="chances with which intervals hold the truth")] = "0.68,0.9,0.95",
    labels: Annotated[
        list[str] | None, typer.Option(help="label to compare with: [TARGET=]KEY[/atom|*atoms]; default TARGET")
    ] = None,
    skip_known: Annotated[
        bool, typer.Option("--skip-known", help="leave out structures that trained or validated the model")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="structures at a time", min=1)] = 64,
    device: Device = "auto",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give a model's sigma the size that its errors on new structures have, and keep that in the model."""
    from crystalcli.commands.calibration_face import CalibrationFace
    from crystalcli.mechanisms.models.model_head import file_of
    from crystalcli.mechanisms.running.devices import choose_device
    from crystalcli.workflows.train.calibrating import CalibrationPlan

    path = file_of(model)
    plan = CalibrationPlan(
        model=model,
        inputs=tuple(inputs),
        output=output or path.with_name(f"{path.stem}-calibrated.safetensors"),
        method=method,
        levels=_levels(levels),
        labels=tuple(labels or ()),
        skip_known=skip_known,
        batch_size=batch_size,
        device=str(choose_device(device)),
        overwrite=overwrite,
    )
    failed = CalibrationFace(Face(json=json, quiet=quiet), threads).run(plan)
    raise typer.Exit(Exit.SOME_FAILED if failed else Exit.OK)


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(word) for word in text.split(",")))
    except ValueError:
        raise UsageError(f"levels '{text}' must be numbers between 0 and 1, e.g. 0.68,0.9,0.95") from None
