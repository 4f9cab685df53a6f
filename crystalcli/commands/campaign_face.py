"""How a campaign looks at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystalcli.commands.console import Face
from crystalcli.commands.settings import Setting
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.vocabulary.texts import inert
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen import campaign, campaign_reading


class CampaignFace:
    """Runs campaigns for a person or a program."""

    def __init__(self, face: Face, time_limit: str) -> None:
        self.face = face
        self.limit = seconds(time_limit)
        prepare_cpu()

    def run(
        self,
        path: Path,
        candidates: Sequence[str],
        call: Mapping[str, Any],
        *,
        dry_run: bool,
        unasked: Setting | None = None,
    ) -> int:
        """Read the plan and run it, or show it; says before what commands it holds; returns the exit code.

        Args:
            path: the plan.
            candidates: in place of the plan's.
            call: how it is run.
            dry_run: show it.
            unasked: who names the plan, if nobody asked for it.

        Raises:
            UnsafeInput: nobody asked for the plan, and it holds commands.
        """
        plan = campaign_reading.read(path, candidates, **call)
        for owner, text in plan.commands:
            self.face.line(f"{path}: command of '{owner}': {inert(text)}")
        if plan.commands and unasked is not None:
            owner, text = plan.commands[0]
            said = f"names {path}, nobody asked for it, and its stage '{owner}' runs '{inert(text)[:120]}'"
            refused = unasked.unsafe(f"{said}; if you trust it: --campaign {path}")
            if not dry_run:
                raise refused
            self.face.warn(f"would be refused: {refused}")
        if dry_run:
            commands = [{"from": str(path), "stage": owner, "runs": text} for owner, text in plan.commands]
            return self._describe({**campaign.describe(plan), "commands": commands})
        with Stop(self.limit).listening() as stop:
            report = campaign.run(plan, Listener(self.face.line, self.face.warn), stop)
        self.face.result(report.data)
        return int(report.data["exit_code"])

    def _describe(self, found: Mapping[str, Any]) -> int:
        s, t = found["settings"], found["training"]
        self.face.say(f"{found['number_of_candidates']} candidates, {s['train']} to train on ({s['selection']})")
        for k in found["stages"]:
            learns = "; learns the difference to the final energies" if k["learns_difference"] else ""
            source = "" if k["kind"] == "command" else f" {inert(' '.join(k['source']))}".rstrip()
            self.face.say(f"stage {k['name']}: {k['kind']}{source}, cost {k['cost']:g}{learns}")
        members = f"{t['ensemble']} {t['arch']}, {t['epochs']} epochs"
        self.face.say(f"after each but the last: {members}; what has E_hull > {s['threshold']} goes")
        low, high = found["full_relaxations_at_least"], found["full_relaxations_at_most"]
        self.face.say(f"cost: {low:.1f} to {high:.0f} full relaxations")
        self.face.say(f"output: {found['output']}; nothing was written")
        self.face.result(found)
        return 0
