"""Structures + potential → relaxed structures, in the folder of a run that survives being killed.

Structures are relaxed in shards of fixed composition. The outcome of a shard is one immutable file; when all are there,
``relaxed.extxyz`` and ``relaxation.csv`` are put together from them, so that neither depends on interruptions.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.forces.potential_names import model_file
from crystalcli.mechanisms.relaxation.relaxing import SINGLE_POINT, STEPS
from crystalcli.mechanisms.running import files, locks
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder, plugin_versions, point_latest
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import UNLABELLED
from crystalcli.vocabulary.errors import Exit, NothingUsable, UsageError
from crystalcli.workflows.graphs.input_digest import digest as content
from crystalcli.workflows.graphs.supervised_reading import read_inputs
from crystalcli.workflows.hearing import heard
from crystalcli.workflows.relax import relaxation_output as output
from crystalcli.workflows.relax.relaxation_outcome import Outcome
from crystalcli.workflows.relax.relaxation_plan import Listener, RelaxationPlan, same_work
from crystalcli.workflows.relax.relaxation_work import Shard, Worker, relaxed_shards

STRUCTURES, TABLE, SHARDS, REPORT = "relaxed.extxyz", "relaxation.csv", "shards", "report.json"
CIFS, TRAJECTORIES = "cif", "trajectories"
PLAN = "relaxation"
"""Key of run.json that holds the plan."""


@dataclass(frozen=True)
class RelaxationReport:
    """What came out.

    Args:
        folder: of the run. data: what report.json holds. exit_code: 0; 3 where some failed or did not converge.
    """

    folder: Path
    data: Mapping[str, Any]
    exit_code: Exit


def describe(plan: RelaxationPlan) -> dict[str, Any]:
    """The resolved plan (``--dry-run``). Writes nothing."""
    worker = Worker(plan)
    return {
        "potential": worker.potential.name,
        "potential_options": dict(plan.potential_options),
        "provides": sorted(worker.potential.provides),
        "relaxer": plan.relaxer,
        "relaxer_options": dict(plan.relaxer_options),
        "device": str(worker.potential.device),
        "files": len(plan.inputs),
        "cell": plan.cell,
        "pressure": plan.pressure,
        "fmax": plan.fmax,
        "smax": plan.smax,
        "steps": plan.steps,
        "batch_size": plan.batch_size,
        "output": plan.output,
    }


def run(plan: RelaxationPlan, listener: Listener | None = None, stop: Stop | None = None) -> RelaxationReport:
    """Relax all structures; goes on where the same plan was interrupted, and does nothing where it is finished.

    Raises:
        UsageError, InputError, EnvironmentProblem: before anything is written. NothingUsable: no structure was.
        Stopped: what was finished is kept.
    """
    listener, stop = listener or Listener(), stop or Stop()
    worker = Worker(plan)
    path = Path(plan.output)
    known = _same_run(path, plan)
    if known is not None:
        return _go_on(path, known, plan, worker, listener, stop)
    with locks.run_locked(path, STRUCTURES):
        if plan.overwrite and (path / RECORD).exists():
            _clear(path)
        folder = RunFolder.create(path, overwrite=plan.overwrite, facts=_facts(plan, worker), config=plan.config)
        return _relax(plan, worker, folder, listener, stop)


def resume(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> RelaxationReport:
    """Go on with the run in folder ``path``; ``changes`` may set threads, jobs, scheduler.

    Raises:
        UsageError: no relaxation there, or its input changed.
    """
    record = RunFolder.read(path)
    if PLAN not in record:
        raise UsageError("is no relaxation", path=path)
    plan = replace(RelaxationPlan.from_json(record[PLAN]), **changes, output=str(path))
    return _go_on(path, record, plan, Worker(plan), listener, stop)


def _same_run(path: Path, plan: RelaxationPlan) -> dict[str, Any] | None:
    """The record of the run in ``path`` if it is the same work."""
    if plan.overwrite or not (path / RECORD).is_file():
        return None
    record = RunFolder.read(path)
    if PLAN not in record:
        return None
    differs = same_work(plan, RelaxationPlan.from_json(record[PLAN]))
    if differs:
        flags = ", ".join(differs)
        raise UsageError(f"holds another relaxation ({flags} differ); --overwrite replaces it", path=path)
    return record


def _go_on(
    path: Path, record: Mapping[str, Any], plan: RelaxationPlan, worker: Worker, listener: Listener, stop: Stop
) -> RelaxationReport:
    for name, digest in record["inputs"].items():
        if content(Path(name)) != digest:
            raise UsageError("is not the file that this run was started with", path=name)
    if record["exit_code"] in (Exit.OK, Exit.SOME_FAILED) and (path / REPORT).is_file():
        listener.say(f"{path}: finished before; nothing to do")
        shutil.rmtree(path / SHARDS, ignore_errors=True)
        data = json.loads((path / REPORT).read_text(encoding="utf-8"))
        return RelaxationReport(path, data, Exit(record["exit_code"]))
    with locks.run_locked(path, STRUCTURES):
        return _relax(plan, worker, RunFolder.reopen(path), listener, stop)


def _relax(plan: RelaxationPlan, worker: Worker, folder: RunFolder, listener: Listener, stop: Stop) -> RelaxationReport:
    listener = heard(listener, folder.log)
    if worker.on_surface:
        listener.say(f"{worker.potential.name} offers a surface: its energies and forces are none of the crystals")
    with folder.recorded(lambda: _outputs(folder)):
        count = _work(plan, worker, folder, listener, stop)
        report = _finish(plan, folder, count)
    folder.finish(report.exit_code, _outputs(folder))
    shutil.rmtree(folder.path / SHARDS, ignore_errors=True)
    if plan.latest:
        point_latest(folder.path)
    return report


def _work(plan: RelaxationPlan, worker: Worker, folder: RunFolder, listener: Listener, stop: Stop) -> int:
    """Relax what is not yet relaxed; returns the number of shards."""
    count = kept = 0
    known: list[Outcome] = []

    def missing() -> Iterator[Shard]:
        nonlocal count, kept
        for number, items in enumerate(_shards(plan, listener)):
            count = number + 1
            if _shard(folder, number).exists():
                kept += 1
                known.extend(_read(folder, number))
                listener.done(len(items))
            else:
                yield number, items

    folder.write("metrics.jsonl", "")
    said = 0
    for number, found in relaxed_shards(plan, worker, missing(), stop, listener):
        text = json.dumps([o.to_json() for o in found], ensure_ascii=False, allow_nan=False)
        files.write_text(_shard(folder, number), text)
        if kept and not said:
            said = kept
            listener.say(f"{kept} shards were finished before")
        for o in [*known, *found]:
            folder.metric(_summary(o))
        known.clear()
        for o in found:
            listener.say(line(o))
        listener.done(len(found))
    for o in known:
        folder.metric(_summary(o))
    return count


def _shards(plan: RelaxationPlan, listener: Listener) -> Iterator[list[Entry | Failure]]:
    """The structures, so many at a time; those that cannot be read have their places too."""
    paths = [Path(p) for p in plan.inputs]
    items = read_inputs(paths, UNLABELLED)
    while block := list(islice(items, plan.batch_size)):
        for item in block:
            for text in item.warnings if isinstance(item, Entry) else ():
                listener.warn(f"{item.id}: {text}")
        yield block


def _shard(folder: RunFolder, number: int) -> Path:
    return folder.path / SHARDS / f"{number:06d}.json"


def _read(folder: RunFolder, number: int) -> list[Outcome]:
    return [Outcome.from_json(o) for o in json.loads(_shard(folder, number).read_text(encoding="utf-8"))]


def _finish(plan: RelaxationPlan, folder: RunFolder, count: int) -> RelaxationReport:
    """Put the shards together."""

    def everything() -> Iterator[Outcome]:
        for number in range(count):
            yield from _read(folder, number)

    files.write_text(folder.path / TABLE, output.table(everything(), plan.symprec))
    rows = [_summary(o) for o in everything()]
    usable = sum(r["energy"] is not None for r in rows)
    if not usable:
        why = Counter(r["reason"] for r in rows).most_common(3)
        said = ", ".join(f"{reason}: {n}" for reason, n in why) or "there are none"
        raise NothingUsable(f"none of {len(rows)} structures could be relaxed ({said}); see {folder.path / TABLE}")
    with files.writing(folder.path / STRUCTURES) as file:
        for o in everything():
            if o.geometry is not None:
                file.write(output.extxyz(o, o.geometry).encode())
    if plan.cif:
        output.write_cifs(folder.path / CIFS, everything())
    if plan.keep_every:
        output.write_trajectories(folder.path / TRAJECTORIES, everything())
    return _report(plan, folder, rows)


def _report(plan: RelaxationPlan, folder: RunFolder, rows: Sequence[Mapping[str, Any]]) -> RelaxationReport:
    accepted = {SINGLE_POINT} | ({STEPS} if plan.fmax == 0 else set())
    good = sum(r["converged"] or r["reason"] in accepted for r in rows)
    code = Exit.OK if good == len(rows) else Exit.SOME_FAILED
    data = {
        "output": str(folder.path),
        "structures": len(rows),
        "converged": sum(r["converged"] for r in rows),
        "without_result": sum(r["energy"] is None for r in rows),
        "reasons": dict(sorted(Counter(r["reason"] for r in rows).items())),
        "symmetry_changed": sum(r["spacegroup_start"] != r["spacegroup"] for r in rows),
        "symprec": plan.symprec,
        "rows": list(rows),
        "exit_code": int(code),
    }
    folder.write_json(REPORT, data)
    return RelaxationReport(folder.path, data, code)


def _summary(o: Outcome) -> dict[str, Any]:
    """One structure without its geometry."""
    names = ("id", "reason", "message", "steps", "energy_start", "energy", "fmax", "smax", "displacement_max")
    more = ("volume_start", "volume", "spacegroup_start", "spacegroup")
    return {"converged": o.converged, **{n: getattr(o, n) for n in (*names, *more)}}


def line(o: Outcome) -> str:
    """One structure for people."""
    if o.geometry is None or o.energy_start is None or o.energy is None:
        return f"{o.id}: {o.reason}: {o.message}"
    what = "converged" if o.converged else f"not converged ({o.reason}{': ' + o.message if o.message else ''})"
    change = "" if o.spacegroup_start == o.spacegroup else f", {o.spacegroup_start} -> {o.spacegroup}"
    smax = "" if o.smax is None else f", smax {o.smax:.3g} GPa"
    energies = f"{o.energy_start:.6f} -> {o.energy:.6f} eV"
    return f"{o.id}: {what}, {o.steps} steps, {energies}, fmax {o.fmax or 0.0:.3g} eV/Å{smax}{change}"


def _facts(plan: RelaxationPlan, worker: Worker) -> dict[str, Any]:
    model = model_file(plan.potential)
    parts = [("relaxer", plan.relaxer)] + ([] if model else [("calculator", plan.potential)])
    inputs = [Path(p) for p in plan.inputs] + ([model] if model else [])
    return {
        PLAN: plan.to_json(),
        "inputs": {str(p): content(p) for p in inputs},
        "plugins": plugin_versions(parts),
        "device": str(worker.potential.device),
    }


def _clear(path: Path) -> None:
    """Remove what an earlier relaxation left."""
    for name in (STRUCTURES, TABLE, REPORT):
        files.remove(path / name)
    for folder in (CIFS, TRAJECTORIES, SHARDS):
        shutil.rmtree(path / folder, ignore_errors=True)


def _outputs(folder: RunFolder) -> list[str]:
    return [n for n in (STRUCTURES, TABLE, REPORT, CIFS, TRAJECTORIES) if (folder.path / n).exists()]
