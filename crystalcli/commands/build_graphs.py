"""``crystal build-graphs``: structure files → graph cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.plugin_flags import Source, names
from crystalcli.contracts.records import Featurizer
from crystalcli.mechanisms.plugin_manager import registry


def _chosen(word: Callable[[str, str | None], str | None]) -> Sequence[Source]:
    part = registry().get("featurizer", word("--featurizer", "cgcnn") or "cgcnn")
    return [Source(part, part.options)]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("build-graphs", cls=plugin_command(_chosen))(build_graphs)


def build_graphs(
    ctx: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="files, folders, globs or lists")],
    output: Annotated[Path, typer.Option("-o", "--output", help="cache to write")] = Path("graphs.h5"),
    featurizer: Annotated[str, typer.Option(autocompletion=names("featurizer"))] = "cgcnn",
    targets: Annotated[str, typer.Option(help="labels to take, comma-separated")] = "",
    overwrite: Annotated[bool, typer.Option(help="replace the output")] = False,
) -> None:
    """Build the graphs of structures and keep them in one file."""
    from crystalcli.workflows.build_graphs import BuildPlan, build

    part = cast(Featurizer, registry().get("featurizer", featurizer))
    plan = BuildPlan(
        inputs=tuple(inputs),
        output=output,
        featurizer=part.name,
        options=ctx.obj["featurizer", part.name].values,
        targets=tuple(t for t in targets.split(",") if t),
        overwrite=overwrite,
    )
    report = build(plan)
    typer.echo(f"{report.n_structures} graphs -> {output}")
    raise typer.Exit(report.exit_code)
