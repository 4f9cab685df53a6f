"""``crystal train``: graph cache → model with its honest test error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, cast

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.plugin_flags import Choice, Source, names
from crystalcli.contracts.records import Architecture, Featurizer
from crystalcli.mechanisms.plugin_manager import registry


def _chosen(word: Callable[[str, str | None], str | None]) -> Choice:
    reg = registry()
    arch = cast(Architecture, reg.get("architecture", word("--arch", "cgcnn") or "cgcnn"))
    head = reg.get("head", word("--head", arch.head) or arch.head)
    featurizer = cast(Featurizer, reg.get("featurizer", arch.featurizer))
    wanted = arch.partner_options
    sources = [
        Source(featurizer, featurizer.embed_options, wanted.get(featurizer.name, {})),
        Source(arch, arch.options),
        Source(head, head.options, wanted.get(head.name, {})),
    ]
    return Choice(sources, {"head": head.name, "epochs": arch.recipe.epochs})


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("train", cls=plugin_command(_chosen))(train)


def train(
    ctx: typer.Context,
    caches: Annotated[list[Path] | None, typer.Argument(help="graph caches; default graphs.h5")] = None,
    arch: Annotated[str, typer.Option(autocompletion=names("architecture"), help="architecture")] = "cgcnn",
    head: Annotated[str | None, typer.Option(autocompletion=names("head"), help="head")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="run folder")] = Path("runs/train"),
    epochs: Annotated[int | None, typer.Option(help="epochs", min=1)] = None,
    seed: Annotated[int, typer.Option(help="seed", min=0)] = 0,
) -> None:
    """Train a model on cached graphs and evaluate it on its test split."""
    from crystalcli.workflows.training import TrainingPlan, run

    part = cast(Architecture, registry().get("architecture", arch))
    head_name = head or part.head
    plan = TrainingPlan(
        caches=tuple(caches or [Path("graphs.h5")]),
        output=output,
        architecture=arch,
        architecture_options=ctx.obj["architecture", arch].values,
        head=head_name,
        head_options=ctx.obj["head", head_name].values,
        embed_options=ctx.obj["featurizer", part.featurizer].values,
        epochs=epochs or part.recipe.epochs,
        seed=seed,
    )
    report = run(plan)
    typer.echo(f"test MAE {report.test_mae:.4g} -> {output / 'model.safetensors'}")
