"""What a person sees of a screening: the plan, and the lines at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.contracts.workflow import Shown
from crystalcli.screen.options import GIVEN, STRUCTURES, SURVIVORS, TABLE
from crystalcli.vocabulary.texts import inert


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    t = found["training"]
    members = f"{t['ensemble']} {t['arch']}, {t['epochs']} epochs"
    goes = f"what has E_hull > {found['threshold']} goes"
    if found["trains_on"] == "chosen":
        return Shown([*_stages(found), f"after each but the last: {members}; {goes}", _cost(found)])
    if found["trains_on"] == "labelled":
        lines = [f"{found['trained_on']} structures with '{found['target']}' train", f"ensemble: {members}"]
        return Shown([*lines, f"{found['number_of_candidates']} candidates without it", goes])
    said = f"{found['number_of_candidates']} candidates in {found['files']} files, predicted by {found['model']}"
    return Shown([said, goes])


def _stages(found: Mapping[str, Any]) -> list[str]:
    s = found["settings"]
    lines = [f"{found['number_of_candidates']} candidates, {s['train']} to train on ({s['selection']})"]
    for k in found["stages"]:
        learns = "; learns the difference to the final energies" if k["learns_difference"] else ""
        source = "" if k["kind"] in ("command", GIVEN) else f" {inert(' '.join(k['source']))}".rstrip()
        lines.append(f"stage {k['name']}: {k['kind']}{source}, cost {k['cost']:g}{learns}")
    return lines


def _cost(found: Mapping[str, Any]) -> str:
    low, high = found["full_relaxations_at_least"], found["full_relaxations_at_most"]
    return f"cost: {low:.1f} to {high:.0f} full relaxations"


def headline(report: Mapping[str, Any]) -> str:
    """For lists of runs."""
    if "cost" in report:
        share = report["share_of_exhaustive"]
        return f"{len(report['hull'])} on the hull of {report['candidates']}, at {share:.0%} of the full cost"
    return f"{report['kept']} kept, {report['removed']} removed"


def shown(report: Mapping[str, Any]) -> Shown:
    """How it ended."""
    of_campaign = "cost" in report
    lines = _of_campaign(report) if of_campaign else _of_one_step(report)
    folder = Path(report["output"])
    last = ("structures", STRUCTURES) if of_campaign else ("survivors", SURVIVORS)
    return Shown([*lines, f"table -> {folder / TABLE}", f"{last[0]} -> {folder / last[1]}"])


def _of_one_step(data: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{data['candidates']} candidates: {data['kept']} kept ({data['on_predicted_hull']} on the predicted hull), "
        f"{data['removed']} removed by E_hull > {data['threshold']}"
    ]
    if data["failed"]:
        lines.append(f"{len(data['failed'])} that cannot be read; see log.txt")
    if data["extrapolating"]:
        lines.append(f"{data['extrapolating']} are extrapolations; see the last column of {TABLE}")
    if data["uncalibrated"] and data["threshold"].endswith("σ"):
        lines.append("sigma is uncalibrated: crystal calibrate MODEL LABELLED gives it the size that errors have")
    if s := data["stability"]:
        found = (
            f"recall {s['recall']:.2f}, precision {s['precision']:.2f}, F1 {s['f1']:.2f}, DAF {s['daf']:.2f}"
            if s["prevalence"]
            else "none is on the hull, so that nothing could be found"
        )
        error = f"MAE of E_hull {1000 * s['mae']:.1f} meV/atom ({s['n']} candidates)"
        lines.append(f"beside the true energies: {found}, {error}")
    return lines


def _of_campaign(data: Mapping[str, Any]) -> list[str]:
    way = " -> ".join(f"{s['screened']} {s['name']}" for s in data["stages"])
    lines = [
        f"{data['candidates']} candidates, {data['trained_on']} trained on; screened: {way}",
        f"{data['fully_relaxed']} fully relaxed; cost {data['cost']:.1f} full relaxations, "
        f"{data['share_of_exhaustive']:.1%} of relaxing all",
        f"on the hull: {len(data['hull'])}",
    ]
    if data["problems"] or data["failed"]:
        lines.append(
            f"{data['problems']} candidates with problems, {len(data['failed'])} that cannot be read; see {TABLE}"
        )
    if found := data.get("recall"):
        n, missed = len(found["true_hull"]), len(found["missed"])
        lines.append(
            f"beside the true energies: {n - missed} of {n} hull phases found (recall {found['recall']:.2f}), "
            f"the hull at most {1000 * found['hull_rise']:.1f} meV/atom too high"
        )
    for stage, p in zip(data["stages"], data.get("predictions", []), strict=False):
        lines.append(
            f"predicted after {stage['name']}: off by {1000 * p['mae']:.1f} meV/atom, sigma {1000 * p['sigma']:.1f}, "
            f"mean z2 {p['z2']:.2f}, {p['within_2_sigma']:.0%} within 2 sigma"
        )
    for k in data["sweep"]:
        lines.append(f"kappa {k['kappa']:g}: recall {k['recall']:.2f} at {k['share']:.1%} of the cost")
    return lines
