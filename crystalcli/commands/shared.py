"""Options that several commands have, under the same names with the same help.

A command writes ``json: Json = False``. Three more belong to every command made with
:class:`crystalcli.commands.command.CrystalCommand` and never reach its function: ``--config``, ``--debug`` and
``--no-plugins``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalcli.vocabulary.pictures import FORMATS, formats

PANEL = "Run"
"""Help panel of the options that say how a command runs rather than what it does."""

Json = Annotated[
    bool, typer.Option("--json", help="one JSON object on stdout, human text on stderr", rich_help_panel=PANEL)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="only warnings and errors", rich_help_panel=PANEL)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there", rich_help_panel=PANEL)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show the resolved plan, do nothing", rich_help_panel=PANEL)]
Resume = Annotated[bool, typer.Option("--resume", help="go on where the last run stopped", rich_help_panel=PANEL)]
Seed = Annotated[
    int, typer.Option("--seed", help="seed of everything random; same seed, same bits", min=0, rich_help_panel=PANEL)
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps", rich_help_panel=PANEL)]
Threads = Annotated[
    int, typer.Option("--threads", help="CPU threads; 0 leaves them as they are", min=0, rich_help_panel=PANEL)
]
Jobs = Annotated[
    int, typer.Option("-j", "--jobs", help="worker processes; 0 takes all cores", min=0, rich_help_panel=PANEL)
]
Scheduler = Annotated[
    str,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask cluster that works: address, file, slurm:QUEUE:JOBS",
        rich_help_panel=PANEL,
    ),
]
SecondsPerFile = Annotated[
    float, typer.Option("--seconds-per-file", help="give a file up when it gives no structure for so long", min=0.1)
]
MemoryPerJob = Annotated[
    float, typer.Option("--memory-per-job", help="GB of address space of a worker; 0: no limit", min=0.0)
]
TimeLimit = Annotated[
    str, typer.Option("--time-limit", help="stop, resumable, after e.g. 90m, 2h or 600s", rich_help_panel=PANEL)
]


def _each_once(text: str) -> str:
    return ",".join(formats(text))


Pictures = Annotated[
    str,
    typer.Option(
        "--pictures",
        metavar="FORMAT",
        callback=_each_once,
        help=f"{', '.join(FORMATS)}, or several: svg,pdf",
        rich_help_panel=PANEL,
    ),
]
Output = Annotated[Path, typer.Option("-o", "--output", help="where the result goes")]

TRANSIENT = frozenset({"config", "debug", "no_plugins", "json", "quiet", "overwrite", "dry_run", "resume", "help"})
"""Options that say how one invocation behaves; a run's ``config.toml`` does not repeat them."""
