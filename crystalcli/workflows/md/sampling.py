"""Structures + potential + sampler → trajectories, their log and what they tell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from crystalcli.mechanisms.dynamics import temperature_program
from crystalcli.mechanisms.forces import potential_names
from crystalcli.mechanisms.running import locks
from crystalcli.mechanisms.running.run_folder import RunFolder, plugin_versions, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.mechanisms.training import checkpoint
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.pictures import of_any_format
from crystalcli.workflows.hearing import Listener, heard
from crystalcli.workflows.md import sampling_report
from crystalcli.workflows.md.sampling_loop import Dynamics, summary
from crystalcli.workflows.md.sampling_plan import SamplingPlan
from crystalcli.workflows.md.sampling_records import CHUNKS, Recorder
from crystalcli.workflows.md.sampling_setup import Prepared, homes, parts, prepare

TRAJECTORY, THERMO, REPORT = "trajectory.extxyz", "thermo.csv", "report.json"


@dataclass(frozen=True)
class SamplingReport:
    """What came out.

    Args:
        folder: of the run. data: what report.json holds, exit code included.
    """

    folder: Path
    data: Mapping[str, Any]


def describe(plan: SamplingPlan, listener: Listener, begun: Iterable[Entry | Failure] | None = None) -> dict[str, Any]:
    """The resolved plan (``--dry-run``), as :func:`run` would follow it. Writes nothing."""
    prepared = prepare(plan, listener, begun)
    return {
        "structures": {e.id: len(e.atoms) for e in prepared.entries},
        "failed": _failed(prepared.failures),
        "potential": {"name": plan.potential, "options": dict(plan.potential_options)},
        "sampler": {"name": plan.sampler, "options": dict(plan.sampler_options)},
        "temperature": prepared.program.text(),
        "steps": plan.steps,
        "dt": plan.dt,
        "frames": plan.steps // plan.frame_every + 1,
        "device": str(prepared.potential.device),
        "seed": plan.seed,
        "output": plan.output,
        "exit_code": 0,
    }


def run(
    plan: SamplingPlan,
    listener: Listener | None = None,
    stop: Stop | None = None,
    begun: Iterable[Entry | Failure] | None = None,
) -> SamplingReport:
    """Run the dynamics of all structures, side by side, and write what came of it.

    Args:
        plan: what is asked for.
        listener: hears of it.
        stop: ends it.
        begun: the reading of the plan's structures, where it has begun.

    Raises:
        UsageError, NothingUsable: before anything is written. EnvironmentProblem, Stopped: resumable.
    """
    listener, stop = listener or Listener(), stop or Stop()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    prepared = prepare(plan, listener, begun)
    path = Path(plan.output)
    facts = {
        "command": "md",
        "plan": plan.to_json(),
        "ids": prepared.ids,
        "failed": _failed(prepared.failures),
        "plugins": plugin_versions(_parts(plan)),
        "inputs": _hashes(plan, prepared),
        "seed": plan.seed,
        "device": str(prepared.potential.device),
        "threads": torch.get_num_threads(),
    }
    with locks.run_locked(path):
        if plan.overwrite:
            _clear(path)
        folder = RunFolder.create(path, overwrite=plan.overwrite, facts=facts, config=plan.config)
        dynamics = _dynamics(plan, prepared, folder, listener, stop)
        return _guarded(plan, folder, dynamics, listener, start=dynamics.begin)


def resume(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> SamplingReport:
    """Go on with the run in folder ``path``; ``changes`` may set threads and device, and make it longer by ``steps``.

    Raises:
        UsageError: no run there, it is finished and not made longer, or its potential or frames have changed.
    """
    record = RunFolder.read(path)
    if record.get("command") != "md" or "plan" not in record:
        raise UsageError("is no run of crystal md", path=path)
    was = SamplingPlan.from_json(record["plan"])
    plan = longer(
        replace(was, **{k: v for k, v in changes.items() if k != "steps"}, output=str(path)), changes, listener
    )
    ended = record["exit_code"] in (Exit.OK, Exit.SOME_FAILED, Exit.NUMERICAL)
    if ended and plan.steps == was.steps:
        raise UsageError(
            f"is finished, with {was.steps} steps: its trajectory is in {path}; --steps makes it longer", path=path
        )
    for name, digest in record["inputs"].items():
        file = Path(name)
        if file == potential_names.model_file(plan.potential) and sha256(file) != digest:
            raise UsageError("is not the potential that this run was started with", path=name)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    state, said = checkpoint.newest(path)
    for line in said:
        listener.warn(line)
    if state is None and ended:
        raise UsageError("has no restart record: start a new run from its last frame", path=path)
    if state is None:
        return _from_the_start(plan, path, record, listener, stop)
    if len(state.facts["halted"]) == len(state.facts["ids"]):
        raise UsageError("all its structures were stopped; there is nothing to go on with", path=path)
    program, potential, sampler = parts(plan)
    tensors = {k: v.to(potential.device) for k, v in state.tensors.items()}
    systems = Systems.of_tensors(checkpoint.under("systems", tensors))
    failures = tuple(Failure(f["path"], f["id"], "md", "", f["reason"]) for f in record["failed"])
    prepared = Prepared(program, potential, sampler, (), failures, systems)
    with locks.run_locked(path):
        folder = RunFolder(path, record)
        dynamics = _dynamics(plan, prepared, folder, listener, stop, ids=list(state.facts["ids"]))
        if ended:
            dynamics.adopt(state, _hashes_of_results(path, dynamics.ids), TRAJECTORY, THERMO)
        folder = RunFolder.reopen(path, {"plan": plan.to_json()})
        if plan.steps != was.steps:
            folder.write_config(plan.config)
        return _guarded(plan, folder, dynamics, listener, start=_nothing if ended else lambda: dynamics.restore(state))


def _hashes_of_results(path: Path, ids: Sequence[str]) -> list[dict[str, str]]:
    """Hashes of the joined files of each structure, as the report of a finished run has them."""
    try:
        told = json.loads((path / REPORT).read_text(encoding="utf-8"))["structures"]
        return [dict(told[name]["sha256"]) for name in ids]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError("is missing or broken: the run cannot go on without a gap", path=path / REPORT) from problem


def _nothing() -> None:
    """The state is there already."""


def longer(plan: SamplingPlan, changes: Mapping[str, Any], listener: Listener) -> SamplingPlan:
    """The plan with the ``steps`` that ``changes`` ask for; the last temperature holds on.

    Raises:
        UsageError: fewer than it has.
    """
    steps = changes.get("steps", plan.steps)
    if steps == plan.steps:
        return plan
    if steps < plan.steps:
        raise UsageError(f"has {plan.steps} steps; --steps makes a run longer, not shorter", path=plan.output)
    program = temperature_program.parse(plan.temperature, dt=plan.dt, steps=steps)
    if len({s for stage in program.stages for s in (stage.start, stage.end)}) > 1:
        listener.say(f"steps {plan.steps} to {steps} at {program.stages[-1].end:g} K, the last temperature")
    config = {**plan.config, "md": {**plan.config.get("md", {}), "steps": steps, "temperature": program.text()}}
    config["md"].pop("time", None)
    return replace(plan, steps=steps, temperature=program.text(), config=config)


def _from_the_start(
    plan: SamplingPlan, path: Path, record: Mapping[str, Any], listener: Listener, stop: Stop
) -> SamplingReport:
    """A run that was killed before its first restart record begins anew."""
    prepared = prepare(plan, listener)
    if _hashes(plan, prepared) != record["inputs"]:
        raise UsageError("the structures are not those that this run was started with", path=path)
    with locks.run_locked(path):
        folder = RunFolder.reopen(path)
        dynamics = _dynamics(plan, prepared, folder, listener, stop)
        return _guarded(plan, folder, dynamics, listener, start=dynamics.begin)


def _dynamics(
    plan: SamplingPlan,
    prepared: Prepared,
    folder: RunFolder,
    listener: Listener,
    stop: Stop,
    ids: list[str] | None = None,
) -> Dynamics:
    names = prepared.ids if ids is None else ids
    recorder = Recorder(homes(folder.path, names), prepared.systems, plan.dt, "sigma" in prepared.potential.provides)

    return Dynamics(
        plan,
        prepared.program,
        (prepared.potential, prepared.sampler),
        prepared.systems,
        names,
        recorder,
        folder.path,
        heard(listener, folder.log),
        stop,
    )


def _guarded(
    plan: SamplingPlan, folder: RunFolder, dynamics: Dynamics, listener: Listener, *, start: Any
) -> SamplingReport:
    with folder.recorded(lambda: _outputs(folder)):
        start()
        dynamics.run()
        report = _finish(plan, folder, dynamics, listener)
    folder.finish(report.data["exit_code"], _outputs(folder))
    for home in dynamics.recorder.homes:
        shutil.rmtree(home / CHUNKS, ignore_errors=True)
    if plan.latest:
        point_latest(folder.path)
    return report


def _finish(plan: SamplingPlan, folder: RunFolder, dynamics: Dynamics, listener: Listener) -> SamplingReport:
    """Join the chunks, write what they tell."""
    recorder, found = dynamics.recorder, summary(dynamics)
    told: dict[str, Any] = {}
    for k, (name, home) in enumerate(zip(dynamics.ids, recorder.homes, strict=True)):
        hashes = {
            TRAJECTORY: recorder.movies[k].join(recorder.sealed, home / TRAJECTORY),
            THERMO: recorder.thermo[k].join(recorder.sealed, home / THERMO, recorder.header),
        }
        told[name] = {"folder": str(home), "sha256": hashes}
        if plan.analysis:
            told[name] |= sampling_report.write(home, home / TRAJECTORY, home / THERMO, name, plan, listener.warn)
    record = folder.record["failed"]
    code = _exit_code(found["stopped"], len(dynamics.ids), bool(record))
    data = {"folder": str(folder.path), "structures": told, **found, "failed": record, "exit_code": int(code)}
    folder.write_json(REPORT, data)
    return SamplingReport(folder.path, data)


def _exit_code(stopped: Mapping[str, Any], structures: int, failed: bool) -> Exit:
    """7 where nothing else was left, 3 where some structures went on or an ensemble asked to stop."""
    if not stopped:
        return Exit.SOME_FAILED if failed else Exit.OK
    unsure = all(h["code"] == "sigma" for h in stopped.values())
    return Exit.SOME_FAILED if failed or unsure or len(stopped) < structures else Exit.NUMERICAL


def _parts(plan: SamplingPlan) -> list[tuple[str, str]]:
    return [("sampler", plan.sampler), ("calculator", plan.potential)]


def _hashes(plan: SamplingPlan, prepared: Prepared) -> dict[str, str]:
    """Hashes of the structures' files and of the potential's."""
    found: dict[str, str] = {}
    for entry in prepared.entries:
        name = entry.source
        while not Path(name).is_file() and ":" in name:
            name = name.rpartition(":")[0]
        if name not in found and Path(name).is_file():
            found[name] = sha256(Path(name))
    model = potential_names.model_file(plan.potential)
    return found | ({str(model): sha256(model)} if model is not None else {})


def _failed(failures: tuple[Failure, ...]) -> list[dict[str, str]]:
    return [{"id": f.id, "path": f.path, "reason": f.reason} for f in failures]


def _outputs(folder: RunFolder) -> list[str]:
    found = (p for p in folder.path.rglob("*") if p.is_file() and CHUNKS not in p.parts)
    return [str(p.relative_to(folder.path)) for p in found if not p.name.startswith(".")]


def _clear(path: Path) -> None:
    """Make room for a new run in the folder of an old one; anything else is left to be refused."""
    if not (path / "run.json").is_file() or RunFolder.read(path).get("command") != "md":
        return
    shutil.rmtree(path / "structures", ignore_errors=True)
    shutil.rmtree(path / CHUNKS, ignore_errors=True)
    pictures = of_any_format(path / name for name in sampling_report.PICTURES)
    for old in (*(path / name for name in (TRAJECTORY, THERMO, *sampling_report.NAMES)), *pictures):
        old.unlink(missing_ok=True)
