"""What is said of all boxes together: one table, comparisons, diagrams, and the summary of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystal_glass import CHEMISTRY, COMPARED, DIAGRAMS, GLASSES, LABEL, LIKENESS, TABLE, VOLTAGES
from crystal_glass.beside_trajectories import beside, folder_print
from crystal_glass.boxes import Box
from crystal_glass.comparison import References
from crystal_glass.energies import compare, fingerprint, formed, voltages
from crystal_glass.finished import rows_of
from crystal_glass.glass_output import forget, last_steps, table_text, write_pictures
from crystal_glass.options import GlassOptions
from crystal_glass.pictures import PANELS, binaries, draw_diagrams
from crystal_glass.stages import Stage, quench_rate
from crystal_glass.volumes import Phase
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.errors import NothingUsable
from crystalcli.vocabulary.pictures import formats

SOME = 12
"""Glasses of which a summary has the numbers; the table has all."""
SHOWN = ("id", "energy_relaxed", "formation_energy", "density", "first_peak", "coordination", "t_g", "t_g_error")


@dataclass(frozen=True)
class GlassReport:
    """Of the boxes of a run, as far as they are finished.

    Args:
        options: of ``crystal glass``. stages: of every box. potential: its name.
        boxes: in order. columns: elements of the table.
        phases: crystals, for the hull of the diagrams.
        others: energies that these are compared with. trajectories: of the same boxes, by id.
        pressure: at which cells are relaxed, GPa.
    """

    options: GlassOptions
    stages: Sequence[Stage]
    potential: str
    boxes: Sequence[Box]
    columns: Sequence[str]
    phases: Sequence[Phase]
    others: References | None
    trajectories: Mapping[str, Path]
    pressure: float

    def table(self, run: Run) -> list[dict[str, Any]]:
        """Write the table of what is there; its rows."""
        rows = list(rows_of(run, self.boxes))
        run.write(TABLE, table_text(rows, self.columns))
        return rows

    def whole(self, run: Run, references: Mapping[str, float | None]) -> dict[str, Any]:
        """Write table, comparisons and pictures of all.

        Returns:
            The summary of the run.

        Raises:
            NothingUsable: none became a glass.
        """
        rows = self.table(run)
        o, endings = self.options, formats(self.options.pictures)
        asked = {COMPARED: o.compare, CHEMISTRY: o.compare, VOLTAGES: o.voltage, LIKENESS: o.trajectories}
        forget(run, [f"{DIAGRAMS}-*", *(Path(name).stem for name, value in asked.items() if value)])
        summed = None if self.others is None else compare(run, rows, self.others, self.potential, endings)
        alike = beside(run, rows, self.trajectories, last_steps(o, self.stages)) if self.trajectories else None
        self._draw(run, rows, references)
        volts = voltages(run, rows, o.voltage, endings) if o.voltage else {}
        self._join_uncertain(run)
        good = [r for r in rows if r["status"] == "ok"]
        failed = [{"id": r["id"], "reason": r["failures"][-1]["reason"]} for r in rows if r["status"] != "ok"]
        if not good:
            none = f"none of {len(rows)} boxes" if len(rows) > 1 else "no box"
            why = f"{failed[0]['id']}: {failed[0]['reason']}"
            raise NothingUsable(f"{none} became a glass: {why}; see {TABLE}")
        return {
            "boxes": len(rows),
            "glasses": len(good),
            "failed": failed,
            "begun_again": sum(bool(r["failures"]) for r in good),
            "reasons": dict(sorted(Counter(f["code"] for r in rows for f in r["failures"]).items())),
            "to_label": sum(r["to_label"] or 0 for r in rows),
            "rate": quench_rate(self.stages),
            "references": references,
            **({"relaxed_at": self.pressure} if self.pressure else {}),
            "equations_of_state": {r["formula"]: e for r in rows if (e := r.get("equation_of_state")) is not None},
            "potential": self.potential,
            "compared_with": fingerprint(o.compare),
            "comparison": summed,
            "trajectories_of": folder_print(o.trajectories),
            "likeness": alike,
            "voltage_of": o.voltage,
            "voltages": volts,
            "not_liquid": [r["id"] for r in good if r["liquid"] is False],
            "crystalline": [r["id"] for r in good if r["crystalline"]],
            "not_relaxed": [r["id"] for r in good if r["converged"] is False],
            "some": [{k: r[k] for k in SHOWN} for r in good[:SOME]],
            "exit_code": 3 if failed else 0,
        }

    def _join_uncertain(self, run: Run) -> None:
        """The frames of all boxes that are to be labelled, in one file."""
        if self.options.label_above:
            with run.writing(LABEL) as whole:
                for box in self.boxes:
                    whole.write((run.path / GLASSES / box.name / LABEL).read_bytes())

    def _draw(self, run: Run, rows: Sequence[Mapping[str, Any]], references: Mapping[str, float | None]) -> None:
        """Energies by composition, as many pictures as the systems need."""
        pairs = binaries(rows)
        others = {} if self.others is None else formed(self.others, rows, references)
        for page, k in enumerate(range(0, len(pairs), PANELS), 1):
            drawn = draw_diagrams(rows, pairs[k : k + PANELS], self.phases, others, formats(self.options.pictures))
            write_pictures(run, f"{DIAGRAMS}-{page}", drawn)
