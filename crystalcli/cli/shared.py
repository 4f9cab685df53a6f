"""Options that the host gives every workflow, and commands without a record declare, with the same name and help.

What workflows declare themselves is in :mod:`crystalcli.contracts.run_options`. A command writes
``json: Json = False``. Three more belong to every command made with
:class:`crystalcli.cli.command.CrystalCommand` and never reach its function: ``--config``, ``--debug`` and
``--no-plugins``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystalcli.contracts.run_options import RUN

PANEL = RUN

Json = Annotated[
    bool, typer.Option("--json", help="one JSON object on stdout, human text on stderr", rich_help_panel=PANEL)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="only warnings and errors", rich_help_panel=PANEL)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace what is there", rich_help_panel=PANEL)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show the resolved plan, do nothing", rich_help_panel=PANEL)]
Report = Annotated[
    bool, typer.Option("--report", help="write report.html, a page of plots and structures, too", rich_help_panel=PANEL)
]
TimeLimit = Annotated[
    str, typer.Option("--time-limit", help="stop, resumable, after e.g. 90m, 2h or 600s", rich_help_panel=PANEL)
]
Output = Annotated[Path, typer.Option("-o", "--output", help="where the result goes")]

TRANSIENT = frozenset(
    {"config", "debug", "no_plugins", "json", "quiet", "overwrite", "dry_run", "resume", "report", "help"}
)
"""Options that say how one invocation behaves; a run's ``config.toml`` does not repeat them."""
