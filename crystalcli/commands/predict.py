"""``crystal predict``: model + structures → values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("predict")(predict)


def predict(
    model: Annotated[Path, typer.Argument(help="model file")],
    inputs: Annotated[list[str], typer.Argument(help="files, folders, globs, lists or caches")],
) -> None:
    """Predict the properties of structures."""
    from crystalcli.workflows.prediction import predict_files

    for row in predict_files(model, inputs):
        typer.echo(",".join(str(v) for v in row.values()))
