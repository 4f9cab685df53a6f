"""``crystal doctor``: what of the surroundings is in the way, and its cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.shared import Json, Quiet
from crystalcli.vocabulary.errors import Exit

if TYPE_CHECKING:
    from crystalcli.engine.run.hardware import Finding

STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("doctor", cls=CrystalCommand)(doctor)


def doctor(ctx: typer.Context, json: Json = False, quiet: Quiet = False) -> None:
    """Examine Python, packages, GPU, threads, memory, plugins, disk, locks and variables; with a cure for each trouble.

    The exit code is 5 where something failed. Warnings are of what works, but not as well as it could.
    """
    from crystalcli.cli.variables import unknown
    from crystalcli.engine.run.examining import findings
    from crystalcli.engine.run.hardware import Finding

    face = Face(json, quiet)
    console = face.console()

    def variables() -> Iterator[Finding]:
        for line in unknown(ctx.find_root().command):
            yield Finding("variables", "warning", *line.split("; ", 1))

    found = []
    for one in findings([("variables", variables)]):
        found.append(one)
        console.print(f"{one.state:8}{one.what:10} {one.said}", style=STYLES[one.state], soft_wrap=True)
        if one.cure:
            console.print(f"{'':19}cure: {one.cure}", soft_wrap=True)
    counts = Counter(one.state for one in found)
    code = Exit.ENVIRONMENT if counts["failed"] else Exit.OK
    face.say(", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state]))
    face.result({"findings": [asdict(one) for one in found], "exit_code": int(code)})
    raise typer.Exit(code)
