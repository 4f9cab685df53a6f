"""``crystal runs``: the runs in a folder, what became of each, how large and how old it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.run_words import STYLES, age
from crystalcli.cli.shared import Json, Quiet
from crystalcli.vocabulary.errors import UsageError

MEGA = 1e6


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("runs", cls=CrystalCommand)(runs)


def runs(
    folder: Annotated[Path, typer.Argument(help="where to look, in folders below, too")] = Path("runs"),
    state: Annotated[
        str, typer.Option("--state", help="only these: running, finished, stopped, failed, killed, unknown")
    ] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List runs, the newest last: state, command, main number or error, size and age.

    A run in a run, such as a member of an ensemble, is listed by crystal status.
    """
    from crystalcli.engine.host import run_status

    face = Face(json, quiet)
    wanted = {word.strip() for word in state.split(",") if word.strip()}
    if unknown := sorted(wanted - STYLES.keys()):
        raise UsageError(f"no state '{unknown[0]}'; known: {', '.join(STYLES)}")
    found = [one for one in run_status.runs_in(folder) if not wanted or one.state in wanted]
    sizes = [run_status.size_of(one.path) for one in found]
    rows = [
        (
            str(one.path.relative_to(folder)) if one.path != folder else str(folder),
            one.state,
            one.command,
            f"{size / MEGA:.1f} MB",
            "" if one.started is None else age(one.started),
            one.said,
        )
        for one, size in zip(found, sizes, strict=True)
    ]
    console = face.console()
    heads = ("run", "state", "command", "size", "begun", "")
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    room = console.width - sum(widths[:-1]) - 2 * len(heads) if console.is_terminal else None
    if rows:
        console.print(_line(heads, widths, room), style="bold", soft_wrap=True)
    for one, row in zip(found, rows, strict=True):
        console.print(_line(row, widths, room), style=STYLES[one.state], soft_wrap=True)
    counts = ", ".join(f"{n} {word}" for word, n in Counter(one.state for one in found).items())
    face.say(counts or f"no runs in {folder}")
    face.result({"runs": [one.to_json() | {"bytes": size} for one, size in zip(found, sizes, strict=True)]})


def _line(row: tuple[str, ...], widths: list[int], room: int | None) -> str:
    """Cells below each other; on a terminal the last is cut where it would not fit."""
    last = row[-1]
    if room is not None and len(last) > max(room, 20):
        last = last[: max(room, 20) - 1] + "…"
    return "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), last]).rstrip()
