"""Before the first step: structures, velocities, potential, sampler and temperatures, or why they cannot be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Potential, SamplerModule, fields_of
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.noise import StructureNoise
from crystalcli.contracts.records import Sampler
from crystalcli.contracts.request import Request
from crystalcli.engine.potential import potentials
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.registry.movers import AskedSampler
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import checkpoint
from crystalcli.md.guards import COLD
from crystalcli.md.options import STRUCTURES, MdOptions
from crystalcli.md.temperature_program import TemperatureProgram
from crystalcli.md.velocities import at_rest, maxwell_boltzmann
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems, free_directions, temperature
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError
from crystalcli.vocabulary.texts import apart, file_word

TEMPERATURE, STILL = "temperature", "no-temperature"
"""What a thermostat provides, and the code of structures that cannot have it."""
LONG_STEP = 10.0
"""fs. A longer step than this is a mistake for anything but very soft or heavy models."""


@dataclass(frozen=True)
class SamplingBatch:
    """Structures that move side by side.

    Args:
        ids: of the structures. systems: with velocities, on the potential's device.
        failed: those that cannot be used, each as its id, path and reason.
    """

    ids: Sequence[str]
    systems: Systems
    failed: Sequence[Mapping[str, str]]


def sampler_of(o: MdOptions) -> Sampler:
    """The record of what moves the atoms.

    Raises:
        UsageError: there is none of that name.
    """
    return cast(Sampler, registry().get("sampler", o.sampler or registry().default("sampler")))


def parts(request: Request) -> tuple[Potential, SamplerModule]:
    """Potential and sampler that are asked for.

    Raises:
        UsageError: an option or word that makes no sense, or a sampler or a limit that needs what the potential lacks.
    """
    o: MdOptions = request.options
    given = {k: dict(c.options) for k, c in request.parts.items()}
    record = sampler_of(o)
    options: Any = opt.make(record.options, given.get("sampler", {}), owner=f"sampler {record.name}")
    potential = potentials.named(o.potential, device=o.device, dtype=o.dtype, options=given.get("potential", {}))
    missing = sorted((record.requires | {"energy", "forces"}) - potential.provides)
    if missing:
        raise UsageError(f"sampler {record.name} needs {' and '.join(missing)}; {potential.name} gives none")
    if o.max_sigma and "sigma" not in potential.provides:
        raise UsageError(f"--max-sigma needs the sigma of an ensemble; {potential.name} gives none")
    return potential, AskedSampler(record, options)


def first_batch(
    o: MdOptions,
    structures: Iterable[Entry | Failure],
    program: TemperatureProgram,
    potential: Potential,
    sampler: SamplerModule,
    reporter: Reporter,
) -> SamplingBatch:
    """Check all structures; give them velocities.

    Raises:
        UsageError: the sampler takes none of them, or no velocities where they shall be those of the file.
        NothingUsable: no structure can be used.
    """
    if o.dt > LONG_STEP:
        reporter.warn(f"--dt {o.dt:g} fs is long: atoms vibrate in 20 to 200 fs, of which a step is a fiftieth")
    entries, failures = _read(structures, reporter)
    thermostat = TEMPERATURE in sampler_of(o).provides
    if not thermostat and len({kelvin for s in program.stages for kelvin in (s.start, s.end)}) > 1:
        begins = f"velocities begin at {program.at(0):g} K, and what --temperature says of later is not followed"
        reporter.warn(f"sampler {sampler_of(o).name} holds no temperature: {begins}")
    entries, refused = _evaluable(entries, potential, reporter, thermostat=thermostat)
    failures += refused
    if not entries and all(f.code == STILL for f in failures):
        raise UsageError(failures[0].reason, path=failures[0].path, code=STILL)
    if not entries:
        raise NothingUsable(f"none of {len(failures)} structures can be used")
    systems = _started(o, program, entries, potential, reporter)
    taken, refused = _moved_by(sampler, o, program, entries, systems, reporter)
    if refused:
        entries, systems = [entries[k] for k in taken], systems.take(torch.tensor(taken, device=potential.device))
        failures += refused
    failed = [{"id": f.id, "path": f.path, "reason": f.reason} for f in failures]
    return SamplingBatch([e.id for e in entries], systems, failed)


def _moved_by(
    sampler: SamplerModule,
    o: MdOptions,
    program: TemperatureProgram,
    entries: Sequence[Entry],
    systems: Systems,
    reporter: Reporter,
) -> tuple[list[int], list[Failure]]:
    """Which structures the sampler takes, and why not the others.

    Raises:
        UsageError: none of them.
    """
    device, found = systems.cell.device, dict[int, UsageError]()
    for k, entry in enumerate(entries):
        one = systems.take(torch.tensor([k], device=device))
        kelvin = torch.full((1,), program.at(0), dtype=torch.float64, device=device)
        noise = StructureNoise(o.seed, [entry.id], one.atom_counts.tolist(), device=device)
        try:
            sampler.init(one, kelvin, noise.at(0))
        except UsageError as problem:
            found[k] = problem
    if len(found) == len(entries):
        raise UsageError(found[0].reason, path=entries[0].source) from found[0]
    failures = [Failure(entries[k].source, entries[k].id, "md", "sampler", own.reason) for k, own in found.items()]
    for failure in failures:
        reporter.warn(str(failure))
    return [k for k in range(len(entries)) if k not in found], failures


def restored_batch(state: checkpoint.TrainingState, device: torch.device) -> SamplingBatch:
    """The batch of a restart record."""
    tensors = {k: v.to(device) for k, v in checkpoint.under("systems", state.tensors).items()}
    return SamplingBatch(state.facts["ids"], Systems.of_tensors(tensors), state.facts["failed"])


def _read(items: Iterable[Entry | Failure], reporter: Reporter) -> tuple[list[Entry], list[Failure]]:
    entries: list[Entry] = []
    failures: list[Failure] = []
    for item in items:
        if isinstance(item, Failure):
            failures.append(item)
            reporter.warn(str(item))
            continue
        entries.append(item)
        for line in item.warnings:
            reporter.warn(f"{item.source}: {line}")
    return entries, failures


def _evaluable(
    entries: Sequence[Entry], potential: Potential, reporter: Reporter, *, thermostat: bool
) -> tuple[list[Entry], list[Failure]]:
    """Leave out the structures that the potential, or the motion, cannot take."""
    good: list[Entry] = []
    failures: list[Failure] = []
    for entry in entries:
        try:
            one = Systems.of([entry.atoms], potential.device, _fields([entry], potential))
            still = _still(one)
            if still and (thermostat or bool(one.fixed.all())):
                raise InputError(still, code=STILL)
            found = potential.evaluate(one)
            if not bool(torch.isfinite(found.forces).all()) or not bool(torch.isfinite(found.energy).all()):
                raise InputError("energy or forces are not finite", code="not-finite")
        except InputError as problem:
            said = problem.reason.removeprefix("structure 0: ")
            failures.append(Failure(entry.source, entry.id, "md", problem.code or "potential", said))
            reporter.warn(str(failures[-1]))
        else:
            good.append(entry)
            if still:
                reporter.warn(f"{entry.source}: {still}; its 0 K says nothing")
    return good, failures


def _fields(entries: Sequence[Entry], potential: Potential) -> list[dict[str, Any]]:
    """What the potential reads of every atom."""
    return [of_atoms(e.atoms, fields_of(potential), e.labels) for e in entries]


def _still(one: Systems) -> str:
    """Why nothing in a structure can move against the rest, so that it has no temperature; empty if something can."""
    if float(free_directions(one)[0]) > 0:
        return ""
    if bool(one.fixed.all()):
        return "all its atoms are fixed: nothing moves, and it has no temperature; free some"
    cure = "repeat the cell" if bool(one.pbc.any()) else "add others"
    return f"its one atom rests with the centre of mass: nothing moves, and it has no temperature; {cure}"


_VELOCITIES = re.compile(r"vel|velo|velocity|velocities", re.IGNORECASE)
"""Columns that hold velocities in whatever unit a program has them."""


def _started(
    o: MdOptions, program: TemperatureProgram, entries: Sequence[Entry], potential: Potential, reporter: Reporter
) -> Systems:
    """The batch with its first velocities."""
    systems = Systems.of([e.atoms for e in entries], potential.device, _fields(entries, potential))
    has_own = [bool(e.atoms.has("momenta") and e.atoms.get_momenta().any()) for e in entries]
    columns = [
        "" if own else next(filter(_VELOCITIES.fullmatch, e.labels), "")
        for own, e in zip(has_own, entries, strict=True)
    ]
    if o.velocities == "file" and not all(has_own):
        k = has_own.index(False)
        why = f"; its column '{columns[k]}' does not say its unit, ASE's momenta do" if columns[k] else ""
        raise UsageError(f"has no velocities{why}; use --velocities auto or random", path=entries[k].source)
    if o.velocities == "auto" and (named := [(e.source, c) for e, c in zip(entries, columns, strict=True) if c]):
        (source, column), more = named[0], f" and {len(named) - 1} more" if len(named) > 1 else ""
        reporter.warn(
            f"{source}{more}: column '{column}' does not say its unit, so velocities are drawn (--velocities random); "
            "those in momenta, as ASE writes them, are read"
        )
    given = at_rest(systems)
    drawn = maxwell_boltzmann(systems, program.at(0), o.seed, [e.id for e in entries])
    keep = torch.tensor([own and o.velocities != "random" for own in has_own], device=potential.device)
    for k, kelvin in enumerate(temperature(given).tolist()):
        if bool(keep[k]) and kelvin > o.hotter * max(program.at(0), COLD):
            reporter.warn(f"{entries[k].source}: begins with the velocities of its file, {kelvin:.0f} K")
    rows = keep.index_select(0, systems.structure_index).unsqueeze(1)
    return replace(systems, velocities=torch.where(rows, given.velocities, drawn.velocities))


def folders(run: Path, ids: Sequence[str]) -> list[Path]:
    """Where the files of each structure go: the folder of the run for one, else a folder of its name in it."""
    if len(ids) == 1:
        return [run]
    plain = (file_word(name).strip(". ") or "structure" for name in ids)
    return [run / STRUCTURES / name for name in apart(plain)]
