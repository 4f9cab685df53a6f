"""How a screening looks at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.commands.console import Face
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen import screening
from crystalcli.workflows.screen.screening_plan import ScreeningPlan
from crystalcli.workflows.screen.screening_report import ScreeningReport


class ScreeningFace:
    """Runs screenings for a person or a program."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        prepare_cpu()

    def run(self, plan: ScreeningPlan) -> int:
        """Screen, and return the exit code."""
        with Stop(self.limit).listening() as stop:
            report = screening.run(plan, self._listener(), stop)
        return self._told(report)

    def describe(self, plan: ScreeningPlan) -> int:
        """Show the resolved plan."""
        found = screening.describe(plan)
        if plan.model:
            self.face.say(f"{found['files']} files with candidates, predicted by {plan.model}")
        else:
            training = found["training"]
            self.face.say(f"{found['trained_on']} structures with '{found['target']}' train")
            self.face.say(
                f"ensemble: {plan.ensemble} {training['options']['arch']}, {training['options']['epochs']} epochs"
            )
            self.face.say(f"{found['number_of_candidates']} candidates without it")
        self.face.say(f"what has E_hull > {found['threshold']} goes")
        self.face.say(f"output: {plan.output}; nothing was written")
        self.face.result(found)
        return 0

    def resume(self, path: Path, changes: Mapping[str, Any]) -> int:
        """Go on with a screening."""
        with Stop(self.limit).listening() as stop:
            report = screening.resume(path, changes, self._listener(), stop)
        return self._told(report)

    def _listener(self) -> Listener:
        return Listener(self.face.line, self.face.warn)

    def _told(self, report: ScreeningReport) -> int:
        self.face.result(report.data)
        return int(report.data["exit_code"])
