"""Structures + potential → relaxed structures.

Structures are relaxed in shards of fixed composition. The outcome of a shard is one immutable file; when all are there,
``relaxed.extxyz`` and ``relaxation.csv`` are put together from them, so that neither depends on interruptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from crystalcli.contracts.dynamics import made_of
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.engine.potential.potential_names import model_file, required
from crystalcli.engine.read.inputs import about
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.relax import report as output
from crystalcli.relax.kept import keep, read
from crystalcli.relax.options import CIFS, SHARDS, STRUCTURES, TABLE, TRAJECTORIES, RelaxOptions
from crystalcli.relax.outcome import Outcome
from crystalcli.relax.relaxing import SINGLE_POINT, STEPS
from crystalcli.relax.shards import Shard, Worker, relaxed_shards
from crystalcli.relax.start import told
from crystalcli.vocabulary.errors import Exit, InputError, NothingUsable, UsageError


class Relaxation(Work):
    """A relaxation with everything looked up.

    Raises:
        UsageError: nothing to relax, no potential, parts, options or numbers that cannot work.
        InputError: the model cannot be read.
    """

    def __init__(self, request: Request, reporter: Reporter) -> None:
        o: RelaxOptions = request.options
        if not o.structures:
            raise UsageError("no structures; name files, folders or a quoted glob")
        required(o.potential)
        if o.fmax == 0 and o.steps:
            reporter.warn(f"--fmax 0 is never reached: every structure takes all {o.steps} steps")
        self.request, self.options = request, o
        self.worker = Worker(request, reporter.warn)
        model = model_file(o.potential)
        models = [m for m in (model, model_file(o.start) if o.start else None) if m is not None]
        self.inputs = [*(Path(p) for p in o.structures), *dict.fromkeys(models)]
        self.parts = [(("calculator" if k == "potential" else k), c.name) for k, c in request.parts.items()]
        self.facts = {"device": str(self.worker.potential.device), **made_of(self.worker.potential)}

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        o, said = self.options, self.request.to_json()
        parts = {f"{k}_options": c["options"] for k, c in said["parts"].items()}
        return {
            **{k: v for k, v in said["options"].items() if k != "structures"},
            "potential_options": {},
            **parts,
            "potential": self.worker.potential.name,
            "provides": sorted(self.worker.potential.provides),
            "device": self.facts["device"],
            "files": len(o.structures),
        }

    def do(self, run: Run) -> dict[str, Any]:
        """Relax what is not yet relaxed, then put it all together."""
        if self.worker.on_surface:
            name = self.worker.potential.name
            run.reporter.say(f"{name} offers a surface: its energies and forces are none of the crystals")
        return _together(self.options, run, _shards_done(self, run))


def _shards_done(work: Relaxation, run: Run) -> int:
    """Relax what is not yet relaxed; returns the number of shards."""
    count = kept = done = 0
    known: list[Outcome] = []

    def missing() -> Iterator[Shard]:
        nonlocal count, kept, done
        for number, items in enumerate(_shards(work.options, run.reporter)):
            count = number + 1
            there = _finished(run, number, items)
            if there is None:
                yield number, items
            else:
                kept += 1
                done += len(items)
                known.extend(there)

    total, begun = about([Path(p) for p in work.options.structures]), 0
    of = f" of {total}" if total else ""

    def heard(step: int, left: int) -> None:
        nonlocal begun
        begun = left if step == 0 else max(begun, left)
        outer = run.reporter.within(f"{done}{of} relaxed", done, total, part=begun)
        outer.progress(f"step {step}, {left} under way", begun - left, begun)

    run.write("metrics.jsonl", "")
    said = 0
    for number, found in relaxed_shards(work.request, work.worker, missing(), run, heard):
        keep(_shard(run, number), found)
        if kept and not said:
            said = kept
            run.reporter.say(f"{kept} shards were finished before")
        for o in [*known, *found]:
            run.metric(_summary(o))
        known.clear()
        for o in found:
            run.reporter.say(line(o))
        done += len(found)
        run.reporter.progress(f"{done}{of} relaxed", done, total)
    for o in known:
        run.metric(_summary(o))
    return count


def _shards(o: RelaxOptions, reporter: Reporter) -> Iterator[list[Entry | Failure]]:
    """The structures, so many at a time; those that cannot be read have their places too."""
    items = read_inputs([Path(p) for p in o.structures], ReadOptions(o.cif_column, o.id_column, "unused"))
    while block := list(islice(items, o.batch_size)):
        for item in block:
            for text in item.warnings if isinstance(item, Entry) else ():
                reporter.warn(f"{item.id}: {text}")
        yield block


def _shard(run: Run, number: int) -> Path:
    return run.path / SHARDS / f"{number:06d}.json"


def _finished(run: Run, number: int, items: Sequence[Entry | Failure]) -> list[Outcome] | None:
    """Outcomes of a shard that is finished; none of one that is not, or whose file is damaged or of others."""
    path = _shard(run, number)
    try:
        there = read(path)
    except FileNotFoundError:
        return None
    except InputError as problem:
        run.reporter.warn(f"{path}: {problem.reason.partition(';')[0]}; its structures are relaxed again")
        return None
    return there if [o.id for o in there] == [i.id for i in items] else None


def _together(o: RelaxOptions, run: Run, count: int) -> dict[str, Any]:
    """Put the shards together."""

    def everything() -> Iterator[Outcome]:
        for number in range(count):
            yield from read(_shard(run, number))

    run.write(TABLE, output.table(everything(), o.symprec))
    rows = [_summary(one) for one in everything()]
    begins = [(one.begin, one.steps) for one in everything() if one.begin is not None]
    usable = sum(r["energy"] is not None for r in rows)
    if not usable:
        why = Counter(r["reason"] for r in rows).most_common(3)
        said = ", ".join(f"{reason}: {n}" for reason, n in why) or "there are none"
        raise NothingUsable(f"none of {len(rows)} structures could be relaxed ({said}); see {run.path / TABLE}")
    with run.writing(STRUCTURES) as file:
        for one in everything():
            if one.geometry is not None:
                file.write(output.extxyz(one, one.geometry).encode())
    if o.cif:
        output.write_cifs(run.path / CIFS, everything())
    if o.trajectory_every:
        output.write_trajectories(run.path / TRAJECTORIES, everything())
    starts = {"start": told([b for b, _ in begins], [s for _, s in begins])} if o.start else {}
    return {**_report(o, rows), **starts}


def _report(o: RelaxOptions, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    accepted = {SINGLE_POINT} | ({STEPS} if o.fmax == 0 else set())
    good = sum(r["converged"] or r["reason"] in accepted for r in rows)
    return {
        "structures": len(rows),
        "converged": sum(r["converged"] for r in rows),
        "without_result": sum(r["energy"] is None for r in rows),
        "reasons": dict(sorted(Counter(r["reason"] for r in rows).items())),
        "symmetry_changed": sum(r["spacegroup_start"] != r["spacegroup"] for r in rows),
        "symprec": o.symprec,
        "pressure": o.pressure,
        "rows": list(rows),
        "exit_code": int(Exit.OK if good == len(rows) else Exit.SOME_FAILED),
    }


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
