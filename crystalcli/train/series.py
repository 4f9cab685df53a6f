"""Several trainings in one command: the same split, other beginnings, one report.

Every member is a run in the run of the series; the folder of the series holds what they say together.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.train import ensemble, transfer
from crystalcli.train.options import TrainOptions
from crystalcli.train.processes import started_by_torchrun
from crystalcli.train.run import Training, inputs_of
from crystalcli.train.setup import Prepared, prepare
from crystalcli.vocabulary.errors import Stopped, UsageError


class Several(Work):
    """Several trainings on the same caches: the first is prepared, so that all are refused before anything is written.

    Args:
        request: what is asked.
        runs: the trainings, in order; each may be several itself.
        host: hears of them.
        shared: another training on the same caches and targets.

    Raises:
        UsageError: parts, options or data that cannot work; several trainings by one team of processes.
    """

    def __init__(self, request: Request, runs: Sequence[Request], host: Host, shared: Prepared | None = None) -> None:
        if started_by_torchrun().size > 1:
            raise UsageError("torchrun trains one model; start --ensemble, --seeds and --learning-curve without it")
        self.request, self.runs, self.host = request, runs, host
        self.options: TrainOptions = request.options
        self.first = first = begun(runs[0], Host(), shared)
        self.prepared: Prepared = first.prepared
        self.inputs = list(dict.fromkeys(path for one in runs for path in inputs_of(one.options)))
        self.parts = first.parts
        self.settled = {k: v for k, v in first.settled.items() if k != "batch_size"}
        self.facts = {k: first.facts[k] for k in ("seed", "device", "threads")}

    def close(self) -> None:
        """Give back what the first one has."""
        self.first.close()

    def describe(self) -> Mapping[str, Any]:
        """The plan of the first, and the names of all."""
        prepare(self.runs[0], self.host, self.prepared)  # for what it says
        return {**self.first.describe(), "runs": [one.path.name for one in self.runs]}

    def train(self, run: Run) -> list[Mapping[str, Any]]:
        """What every training reports, in order.

        Raises:
            Stopped: says how many are done. CrystalError: of the run under way.
        """
        reports: list[Mapping[str, Any]] = []
        of = len(self.runs)
        for k, one in enumerate(self.runs):
            o: TrainOptions = one.options
            arch = o.arch or self.first.settled["arch"]
            run.reporter.say(f"run {k + 1} of {of}: {arch}, seed {o.seed} -> {one.path}")
            try:
                options, reporter = opt.to_dict(o), run.reporter.within(f"run {k + 1} of {of}", k, of)
                reports.append(
                    run.child("train", one.path.name, options, one.parts, reporter=reporter, prepare=self._begun)
                )
            except Stopped as problem:
                done = f"{len(reports)} of {of} runs are finished"
                raise Stopped(f"{problem.reason.split(';')[0]}; {done}; go on with: {run.again}") from None
        return reports

    def _begun(self, request: Request, host: Host) -> Training | Series:
        return begun(request, host, self.prepared)


class Series(Several):
    """Trainings with several seeds, of the members of an ensemble, or of all folds."""

    def __init__(self, request: Request, host: Host, shared: Prepared | None = None) -> None:
        super().__init__(request, members(request), host, shared)

    def do(self, run: Run) -> Mapping[str, Any]:
        """Train all members one after another and report them together."""
        reports = self.train(run)
        data = summary(reports, folds=self.options.all_folds) | {"folder": str(run.path)}
        if self.options.ensemble:
            single: Training = cast(Training, self.first)
            data |= ensemble.finish(single.options, self.prepared, self.runs, reports, run)
        for name, row in data["test"].items():
            run.log(f"test {name}: {json.dumps(row['model'])}")
        return data


def begun(request: Request, host: Host, shared: Prepared | None = None) -> Training | Series:
    """One training, or several."""
    return Training(request, host, shared) if request.options.is_one else Series(request, host, shared)


def members(request: Request) -> list[Request]:
    """The single trainings, in order; of an ensemble only the first has others trained beside it."""
    o: TrainOptions = request.options
    if o.all_folds:
        return [_member(request, f"fold-{k}", all_folds=False, fold=k) for k in range(o.folds)]
    number = o.ensemble or o.seeds
    one_source = o.ensemble and o.from_ is not None and transfer.distinct(str(o.from_)) < number
    found = []
    for k in range(number):
        more: dict[str, Any] = {"baseline": ()} if k else {}
        if k and o.ensemble:
            more |= {"member": k, "compare": (), "no_compare": True}
        if one_source:
            more["keep_start"] = False
        name = f"member-{k}" if o.ensemble else f"seed-{o.seed + k}"
        shared = {"seeds": 1, "ensemble": 0, "split_seed": o.seed_of_split}
        found.append(_member(request, name, seed=o.seed + k, **shared, **more))
    return found


def _member(request: Request, name: str, **changes: Any) -> Request:
    return replace(request, options=replace(request.options, **changes), path=request.path / name)


def summary(reports: Sequence[Mapping[str, Any]], *, folds: bool = False) -> dict[str, Any]:
    """What members say together: mean and spread of every test error, by target and architecture.

    Folds have test parts of their own, and with them baselines, splits and leaks.
    """
    one = reports[0]
    test = {}
    for name, first in reports[0]["test"].items():
        test[name] = {
            "unit": unit_of_errors(first),
            "model": spread([r["test"][name]["model"] for r in reports]),
            "compared": {a: _compared(a, [r["test"][name]["compared"] for r in reports]) for a in first["compared"]},
            "baselines": first["baselines"],
        }
        if folds:
            every = [r["test"][name]["baselines"] for r in reports]
            test[name]["baselines"] = {b: _compared(b, every) for b in first["baselines"]}
            if test[name]["model"] is not None:
                test[name]["model"]["n"] = sum(r["test"][name]["model"]["n"] for r in reports)
    return {
        "architecture": one["architecture"],
        "test": test,
        "runs": [{k: r[k] for k in ("architecture", "seed", "folder", "model", "best_epoch")} for r in reports],
        "split": [r["split"] for r in reports] if folds else one["split"],
        "leaks": [r["leaks"] for r in reports] if folds else one["leaks"],
        "exit_code": 0,
    }


def _compared(architecture: str, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What the runs of an architecture beside the model say together; those that failed do not count."""
    known = [rows[architecture] for rows in found if architecture in rows]
    done = [row for row in known if "skipped" not in row]
    return spread(done) if done else known[0]


def unit_of_errors(row: Mapping[str, Any]) -> str:
    """In which the head counts the errors of a target, else that of the target."""
    unit: str = (row["model"] or {}).get("unit", row["unit"])
    return unit


HOW = frozenset({"factor", "components"})
"""What says of errors how they were counted, and is no error."""


def spread(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Mean and sample standard deviation (over n − 1; none of one run) of every error that all ``rows`` have."""
    if any(row is None for row in rows):
        return None
    known = [row for row in rows if row is not None]
    found: dict[str, Any] = {"runs": len(known)}
    for key, first in known[0].items():
        values = [row.get(key) for row in known]
        if key == "n":
            found[key] = first
        elif key not in HOW and all(isinstance(v, (int, float)) for v in values):
            numbers = cast("list[float]", values)
            found[key] = {
                "mean": statistics.fmean(numbers),
                "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
            }
    return found
