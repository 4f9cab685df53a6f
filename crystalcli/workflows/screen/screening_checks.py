"""What a screening in one step needs, looked at before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.models.model_head import file_of, read_head
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.thresholds import Threshold
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen.campaign_training import DIFFERENCE
from crystalcli.workflows.screen.screening_data import per_atom_energy
from crystalcli.workflows.screen.screening_plan import ScreeningPlan, same_work

PLAN = "plan"
"""Key of run.json that holds the plan."""


def same_run(path: Path, plan: ScreeningPlan, hashes: Mapping[str, str]) -> dict[str, Any] | None:
    """The record of the run in ``path`` if it is the same screening.

    Raises:
        UsageError: it is another one, or an input has changed.
    """
    if plan.overwrite or not (path / RECORD).is_file():
        return None
    record = RunFolder.read(path)
    if PLAN not in record or record.get("command") != "screen":
        return None
    differs = same_work(plan, ScreeningPlan.from_json(record[PLAN]))
    if differs:
        raise UsageError(f"holds another screening ({', '.join(differs)} differ); --overwrite replaces it", path=path)
    for name, digest in record["inputs"].items():
        if hashes.get(name) != digest:
            raise UsageError("is not the file that this screening was started with", path=name)
    return record


def labelled_and_not(plan: ScreeningPlan, listener: Listener) -> tuple[GraphDataset, str]:
    """The cache whose labelled part trains and whose rest is screened, and the label.

    Raises:
        UsageError: nothing or everything is labelled; says what to do.
    """
    path = Path(plan.candidates[0])
    data = GraphDataset.open([Path(p) for p in plan.candidates])
    if not data.columns:
        raise UsageError(
            "has no labels to train on: give a trained model with --model, or build the cache from a table in which "
            "some structures have formation energies",
            path=path,
        )
    if not plan.target and len(data.columns) > 1:
        raise UsageError(f"has several labels; choose with --target: {', '.join(sorted(data.columns))}", path=path)
    name = plan.target or next(iter(data.columns))
    if name not in data.columns:
        raise UsageError(f"has no label '{name}'; it has {', '.join(sorted(data.columns))}", path=path)
    note = per_atom_energy(data.columns[name].quantity)
    if note:
        listener.say(note)
    known = int(data.columns[name].mask.sum())
    if known == len(data):
        raise UsageError(
            f"all {known} structures have a label '{name}': there is nothing to screen, for candidates are those "
            "without one. Add them to the folder and build-graphs again (no row in id_prop.csv, or an empty cell); or "
            "crystal train --ensemble 5, then crystal screen NEW --model runs/latest",
            path=path,
        )
    if known < 10:
        raise UsageError(f"{known} structures with a label '{name}' are too few to train on", path=path)
    listener.say(f"{known} structures with '{name}' train, {len(data) - known} without are candidates")
    return data, name


def refuse_unfit(path: Path, threshold: Threshold, listener: Listener) -> None:
    """Refuse a model of differences, which are no energies, and a threshold in σ for a model that has none."""
    head = read_head(file_of(path))
    if any(t["name"] == DIFFERENCE.name for t in head["spec"]["targets"]):
        raise UsageError("predicts what a stage of a campaign adds to its energies, no formation energies", path=path)
    if "members" in head or head.get("sigma"):
        return
    listener.warn("one model alone has no sigma of its own: only an energy threshold (50meV) means something")
    if threshold.kind == "sigma":
        raise UsageError(
            f"{threshold} needs an ensemble; train with --ensemble 5, calibrate the model, or give --threshold 50meV"
        )
