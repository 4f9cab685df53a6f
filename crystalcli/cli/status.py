"""``crystal status RUN``: what a run does, did, or died of, from its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.console import Face
from crystalcli.cli.run_words import STYLES, age
from crystalcli.cli.shared import Json, Quiet
from crystalcli.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from crystalcli.engine.host.run_status import RunStatus

FRESH = 30.0
"""Seconds after which it is said how old a word of a run is."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("status", cls=CrystalCommand)(status)


def status(
    run: Annotated[
        Path | None,
        typer.Argument(help="run folder, or the file that a command writes; default: the last begun in ./runs"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what a run does, how far it is and how long it still takes; or how it ended, and how to go on.

    Only its files are read, so it may run on another machine, or in a job of a batch system. A run that nobody is at
    although it has not ended was killed. The runs in it, as of an ensemble or a campaign, are listed below it.
    """
    from crystalcli.engine.host import run_status

    face = Face(json, quiet)
    if run is None:
        known = run_status.runs_in(Path("runs")) if Path("runs").is_dir() else []
        if not known:
            raise UsageError("there are no runs in ./runs; name one: crystal status RUN")
        run = known[-1].path
    found = run_status.status(run)
    console = face.console()
    for depth, style, text in _lines(found, 0):
        console.print("  " * depth + text, style=style, soft_wrap=True)
    face.result(found.to_json())


def _lines(one: RunStatus, depth: int) -> Iterator[tuple[int, str, str]]:
    """Depth, style and text of each."""
    head = f"{one.path if depth == 0 else one.path.name}: " + (f"crystal {one.command}, " if depth == 0 else "")
    if depth:
        yield depth, STYLES[one.state], f"{head}{one.state}" + (f", {one.said}" if one.said else "")
    else:
        yield depth, STYLES[one.state], head + one.state + _for_how_long(one)
        yield from ((1, "", text) for text in _more(one))
    for child in one.children:
        yield from _lines(child, depth + 1)


def _for_how_long(one: RunStatus) -> str:
    from crystalcli.engine.run.progress import spoken

    if one.seconds is None:
        return ""
    return f" for {spoken(one.seconds)}" if one.state == "running" else f" after {spoken(one.seconds)}"


def _more(one: RunStatus) -> Iterator[str]:
    from crystalcli.engine.run.progress import share, spoken

    if one.said:
        yield one.said
    if one.told is not None:
        done = share(one.told.levels)
        words = [] if done is None else [f"{done:.0%} done"]
        if one.silent is not None and (one.state != "running" or one.silent > FRESH):
            words.append(f"as of {spoken(one.silent)} ago")
        if one.state in ("stopped", "failed"):
            words.append(one.told.words)
        if words:
            yield ", ".join(words)
    if one.state == "running" and one.last and one.last != one.said:
        yield f"last line of its log: {one.last}"
    if one.where:
        yield one.where
    if one.started is not None:
        yield f"begun {age(one.started)} ago"
    if one.again:
        yield f"go on with: {one.again}"
