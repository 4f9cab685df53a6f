"""The folder of a run that another process writes."""

from __future__ import annotations

from pathlib import Path

from crystalcli.engine.run.run_folder import RunFolder


class OtherRankFolder(RunFolder):
    """A run folder for a process that takes part in the run and writes nothing."""

    def write(self, name: str, text: str) -> Path:  # noqa: ARG002
        """Leave it to the process that writes."""
        return self.path / name

    def note_progress(self, text: str) -> None:
        """Leave it to the process that writes."""

    def _append(self, name: str, line: str) -> None:
        """Leave it to the process that writes."""
