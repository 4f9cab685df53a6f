"""A small program made like ``crystal`` itself, which shows what its command was given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from crystalcli.cli.command import CrystalCommand, plugin_command
from crystalcli.cli.plugin_flags import names
from crystalcli.cli.shared import DryRun, Json, Overwrite, Quiet
from crystalcli.contracts.records import Architecture
from crystalcli.contracts.workflow_record import Choice, PartFlags, Word
from crystalcli.engine.registry.plugin_manager import registry


def choose(word: Word) -> Choice:
    arch = cast(Architecture, registry().get("architecture", word("--arch", "net") or "net"))
    head = registry().get("head", word("--head", arch.head) or arch.head)
    sources = [PartFlags(arch, arch.options), PartFlags(head, head.options, arch.partner_options.get(head.name, {}))]
    return Choice(sources, {"head": head.name, "epochs": arch.recipe.epochs})


app = typer.Typer(name="program", add_completion=False)


@app.callback()
def program() -> None:
    """A program."""


@app.command("train", cls=plugin_command(choose))
def train(
    ctx: typer.Context,
    *,
    caches: Annotated[list[Path] | None, typer.Argument(help="caches")] = None,
    arch: Annotated[str, typer.Option(autocompletion=names("architecture"))] = "net",
    head: Annotated[str | None, typer.Option(autocompletion=names("head"))] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    targets: Annotated[list[str] | None, typer.Option()] = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("runs/train"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train."""
    core = {
        "caches": caches, "arch": arch, "head": head, "epochs": epochs, "targets": targets, "output": output,
        "seed": seed, "overwrite": overwrite, "dry_run": dry_run, "json": json_, "quiet": quiet,
    }  # fmt: skip
    parts = {f"{f} {n}": {"values": g.values, "explicit": g.explicit} for (f, n), g in ctx.obj.items()}
    print(json.dumps({"core": core, "parts": parts}, default=str))


graphs = typer.Typer(name="graphs")
app.add_typer(graphs)


@graphs.command("merge", cls=CrystalCommand)
def merge(level: Annotated[int, typer.Option()] = 1) -> None:
    """Merge."""
    print(json.dumps({"core": {"level": level}}))


@graphs.command("info", cls=CrystalCommand)
def info() -> None:
    """Info."""


def run(args: Sequence[str]) -> Any:
    """Run one command line; raises what it raises."""
    return app(list(args), prog_name="program", standalone_mode=False)
