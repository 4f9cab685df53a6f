"""A campaign on disk: a row for every candidate, a row for every stage, the hull, the cost, the summary."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.drawing import campaign_plots
from crystalcli.mechanisms.phases import hull
from crystalcli.mechanisms.phases.hull import ON_HULL, Phase
from crystalcli.mechanisms.phases.screening import Candidate, Decision, stage_costs
from crystalcli.mechanisms.phases.staging import Course, recall
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.tables import csv_text
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.vocabulary.errors import Exit
from crystalcli.vocabulary.pictures import of_any_format, paths
from crystalcli.workflows.screen.campaign_choice import Taught
from crystalcli.workflows.screen.campaign_files import extxyz
from crystalcli.workflows.screen.campaign_tables import LOST, STAGE_HEADER, End, ends_of, header, row, stage_rows
from crystalcli.workflows.screen.campaign_work import JOURNALS, Workshop
from crystalcli.workflows.screen.screening_output import clear_hulls, draw_systems, system

DECISIONS, STAGES, STRUCTURES, REPORT = "decisions.csv", "stages.csv", "relaxed.extxyz", "report.json"
CURVE = "cost-recall"


def write(
    folder: RunFolder,
    shop: Workshop,
    failures: Sequence[Failure],
    taught: Taught,
    went: Course,
    final: Mapping[str, float],
    *,
    truth: Mapping[str, float],
    replayed: Mapping[str, Any],
) -> dict[str, Any]:
    """Write everything; returns what report.json holds.

    Args:
        folder: of the run.
        shop: has structures and problems.
        failures: candidates that could not be read.
        taught: candidates that were trained on.
        went: what was decided on the others.
        final: final formation energies of the survivors, eV/atom.
        truth: of all candidates, where they are known.
        replayed: for report.json; ``sweep``, the rows of the sweep over κ, becomes a table and a picture as well.
    """
    energies = {**taught.energies, **final}
    phases = [Phase(shop.start[i].amounts, e, i) for i, e in energies.items()]
    heights = hull.distances(phases, [True] * len(phases), taught.references)
    ends = ends_of(shop, taught, went, energies, {p.name: d.above for p, d in zip(phases, heights, strict=True)})
    names = [s.name for s in shop.plan.stages]
    folder.write(DECISIONS, csv_text(header(names), [row(e, shop, names) for e in ends]))
    folder.write(STAGES, csv_text(STAGE_HEADER, stage_rows(shop, taught, went)))
    relaxed = [e for e in ends if e.energy is not None]
    items = [shop.item(len(names) - 1, e.id) for e in relaxed]
    folder.write(STRUCTURES, extxyz(items, [e.energy for e in relaxed], key="formation_energy_per_atom"))
    pictures = _draw(folder, shop, ends, taught.references)
    if curve := replayed["sweep"]:
        keys = list(curve[0])
        folder.write(f"{CURVE}.csv", csv_text(keys, [[r[k] for k in keys] for r in curve]))
        drawn = paths(folder.path / CURVE, shop.plan.pictures)
        campaign_plots.cost_and_recall(drawn, curve, stages=", ".join(names))
        pictures += [path.name for path in drawn]
    data = _report(folder, shop, failures, taught, went, ends) | {"pictures": pictures, **replayed}
    if truth:
        everything = [Phase(shop.start[i].amounts, e, i) for i, e in truth.items()]
        seen = recall(everything, list(energies), taught.references)
        data["recall"] = {
            "true_hull": list(seen.hull),
            "missed": list(seen.missed),
            "recall": seen.share,
            "hull_rise": seen.rise,
        }
    folder.write_json(REPORT, data)
    for line in lines(data):
        shop.listener.say(line)
    return data


def _draw(folder: RunFolder, shop: Workshop, ends: Sequence[End], references: Sequence[Phase]) -> list[str]:
    """Hulls of the final energies; removed candidates where they were last predicted."""
    judged: list[tuple[Candidate, Decision]] = []
    for end in ends:
        amounts = shop.start[end.id].amounts
        if end.energy is not None and end.above is not None:
            judged.append((Candidate(end.id, amounts, end.energy, 0.0, 0.0), Decision(end.above, (), True, "")))
        elif end.verdicts and math.isfinite(end.verdicts[-1].candidate.energy):
            v = end.verdicts[-1]
            judged.append((v.candidate, Decision(v.decision.above, (), False, "", competes=False)))
    systems = Counter(system(c.amounts) for c, _ in judged)
    return draw_systems(
        folder.path, [c for c, _ in judged], [d for _, d in judged], references, systems, shop.plan.pictures
    )


def _report(
    folder: RunFolder,
    shop: Workshop,
    failures: Sequence[Failure],
    taught: Taught,
    went: Course,
    ends: Sequence[End],
) -> dict[str, Any]:
    plan = shop.plan
    cost = stage_costs(went.counts, plan.costs, len(taught.ids))
    problems = sum(bool(e.problem) or e.outcome == LOST for e in ends)
    return {
        "folder": str(folder.path),
        "threshold": str(plan.rule().threshold),
        "candidates": len(ends),
        "trained_on": len(taught.ids),
        "stages": [
            {"name": s.name, "cost": s.cost, "screened": n} for s, n in zip(plan.stages, went.counts, strict=True)
        ],
        "fully_relaxed": len(taught.ids) + len(went.survivors),
        "cost": cost,
        "share_of_exhaustive": cost / len(ends),
        "hull": [e.id for e in ends if e.above is not None and e.above <= ON_HULL],
        "problems": problems,
        "failed": [{"id": f.id, "path": f.path, "reason": f.reason} for f in failures],
        "exit_code": int(Exit.SOME_FAILED if failures or problems else Exit.OK),
    }


def lines(data: Mapping[str, Any]) -> list[str]:
    """What a person wants to know."""
    way = " -> ".join(f"{s['screened']} {s['name']}" for s in data["stages"])
    said = [
        f"{data['candidates']} candidates, {data['trained_on']} trained on; screened: {way}",
        f"{data['fully_relaxed']} fully relaxed; cost {data['cost']:.1f} full relaxations, "
        f"{data['share_of_exhaustive']:.1%} of relaxing all",
        f"on the hull: {len(data['hull'])}",
    ]
    if data["problems"] or data["failed"]:
        said.append(
            f"{data['problems']} candidates with problems, {len(data['failed'])} that cannot be read; see {DECISIONS}"
        )
    found = data.get("recall")
    if found:
        n, missed = len(found["true_hull"]), len(found["missed"])
        said.append(
            f"beside the true energies: {n - missed} of {n} hull phases found (recall {found['recall']:.2f}), "
            f"the hull at most {1000 * found['hull_rise']:.1f} meV/atom too high"
        )
    for stage, p in zip(data["stages"], data.get("predictions", []), strict=False):
        said.append(
            f"predicted after {stage['name']}: off by {1000 * p['mae']:.1f} meV/atom, sigma {1000 * p['sigma']:.1f}, "
            f"mean z2 {p['z2']:.2f}, {p['within_2_sigma']:.0%} within 2 sigma"
        )
    for k in data["sweep"]:
        said.append(f"kappa {k['kappa']:g}: recall {k['recall']:.2f} at {k['share']:.1%} of the cost")
    return [*said, f"table -> {data['folder']}/{DECISIONS}", f"structures -> {data['folder']}/{STRUCTURES}"]


def clear(folder: Path) -> None:
    """Remove what an earlier campaign left, results from outside apart."""
    for name in (DECISIONS, STAGES, STRUCTURES, REPORT, f"{CURVE}.csv"):
        files.remove(folder / name)
    clear_hulls(folder)
    for picture in of_any_format([folder / CURVE]):
        files.remove(picture)
    for name in (JOURNALS, "models", "calls"):
        shutil.rmtree(folder / name, ignore_errors=True)
