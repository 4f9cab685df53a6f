"""How a campaign looks at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystalcli.commands.console import Face
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen import campaign, campaign_reading


class CampaignFace:
    """Runs campaigns for a person or a program."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        prepare_cpu()

    def run(self, path: Path, candidates: Sequence[str], call: Mapping[str, Any], *, dry_run: bool) -> int:
        """Read the plan and run it, or show it; returns the exit code."""
        plan = campaign_reading.read(path, candidates, **call)
        if dry_run:
            return self._describe(campaign.describe(plan))
        with Stop(self.limit).listening() as stop:
            report = campaign.run(plan, Listener(self.face.line, self.face.warn), stop)
        self.face.result(report.data)
        return int(report.data["exit_code"])

    def _describe(self, found: Mapping[str, Any]) -> int:
        s, t = found["settings"], found["training"]
        self.face.say(f"{found['number_of_candidates']} candidates, {s['train']} to train on ({s['selection']})")
        for k in found["stages"]:
            learns = "; learns the difference to the final energies" if k["learns_difference"] else ""
            self.face.say(f"stage {k['name']}: {' '.join([k['kind'], *k['source']])}, cost {k['cost']:g}{learns}")
        members = f"{t['ensemble']} {t['arch']}, {t['epochs']} epochs"
        self.face.say(f"after each but the last: {members}; what has E_hull > {s['threshold']} goes")
        low, high = found["full_relaxations_at_least"], found["full_relaxations_at_most"]
        self.face.say(f"cost: {low:.1f} to {high:.0f} full relaxations")
        self.face.say(f"output: {found['output']}; nothing was written")
        self.face.result(found)
        return 0
