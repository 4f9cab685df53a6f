"""The work of ``crystal report``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.record.run_record import PAGE
from crystalcli.engine.report.page import write
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.report.workflow import ReportOptions
from crystalcli.vocabulary.errors import UsageError


class Reporting(Work):
    """The page of some runs.

    Raises:
        UsageError: one is no run, or there is a file that is no page of ours.
    """

    def __init__(self, request: Request, host: Host) -> None:
        self.options: ReportOptions = request.options
        self.host = host
        self.runs = list(dict.fromkeys(self.options.runs))
        for path in self.runs:
            RunFolder.read(path)
        inside = self.runs[0] / PAGE if len(self.runs) == 1 else Path(PAGE)
        self.target = self.options.output or inside
        mine = self.options.output is None and len(self.runs) == 1
        if self.target.is_symlink() or self.target.is_dir():
            raise UsageError("is a link or a folder; name a file with -o", path=self.target)
        if self.target.exists() and not mine and not request.overwrite:
            raise UsageError("exists; give --overwrite to replace it", path=self.target)

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        return {"runs": [str(p) for p in self.runs], "output": str(self.target)}

    def do(self, run: Run) -> Mapping[str, Any]:
        """Make the page."""
        run.reporter.progress("reading", 0, None)
        made = write(self.runs, self.target)
        return {
            "output": str(self.target), "runs": [str(p) for p in self.runs], "bytes": len(made.text.encode()),
            "problems": list(made.problems),
        }  # fmt: skip
