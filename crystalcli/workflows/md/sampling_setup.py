"""Before the first step: structures, velocities, potential, sampler and temperatures, or why they cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Potential, SamplerModule, fields_of
from crystalcli.contracts.records import Sampler
from crystalcli.mechanisms.dynamics import temperature_program
from crystalcli.mechanisms.dynamics.temperature_program import TemperatureProgram
from crystalcli.mechanisms.dynamics.velocities import at_rest, maxwell_boltzmann
from crystalcli.mechanisms.forces import potentials
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import UNLABELLED
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems, free_directions
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError
from crystalcli.workflows.graphs.supervised_reading import read_inputs
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.md.sampling_plan import SamplingPlan

TEMPERATURE, STILL = "temperature", "no-temperature"
"""What a thermostat provides, and the code of structures that cannot have it."""
LONG_STEP = 10.0
"""fs. A longer step than this is a mistake for anything but very soft or heavy models."""


@dataclass(frozen=True)
class Prepared:
    """All that a run needs.

    Args:
        entries: structures that can be used. failures: those that cannot.
        systems: with velocities, on the potential's device.
    """

    program: TemperatureProgram
    potential: Potential
    sampler: SamplerModule
    entries: tuple[Entry, ...]
    failures: tuple[Failure, ...]
    systems: Systems

    @property
    def ids(self) -> list[str]:
        """Names of the structures."""
        return [e.id for e in self.entries]


def parts(plan: SamplingPlan) -> tuple[TemperatureProgram, Potential, SamplerModule]:
    """Program, potential and sampler of a plan.

    Raises:
        UsageError: an option, word or number that makes no sense, or a sampler that needs what the potential lacks.
    """
    program = temperature_program.parse(plan.temperature, dt=plan.dt, steps=plan.steps)
    record = cast(Sampler, registry().get("sampler", plan.sampler))
    options: Any = opt.make(record.options, plan.sampler_options, owner=f"sampler {plan.sampler}")
    precision = cast(potentials.Precision, plan.dtype)
    potential = potentials.named(plan.potential, device=plan.device, dtype=precision, options=plan.potential_options)
    missing = sorted((record.requires | {"energy", "forces"}) - potential.provides)
    if missing:
        raise UsageError(f"sampler {plan.sampler} needs {' and '.join(missing)}; {potential.name} gives none")
    return program, potential, record.build(options)


def prepare(plan: SamplingPlan, listener: Listener, begun: Iterable[Entry | Failure] | None = None) -> Prepared:
    """Read and check everything; nothing is written.

    Args:
        plan: what is asked for.
        listener: is warned.
        begun: the reading of the plan's structures, where it has begun.

    Raises:
        UsageError: as :func:`parts`. NothingUsable: no structure can be used.
    """
    program, potential, sampler = parts(plan)
    if plan.dt > LONG_STEP:
        listener.warn(f"--dt {plan.dt:g} fs is long: atoms vibrate in 20 to 200 fs, of which a step is a fiftieth")
    entries, failures = _read(read_inputs(expand(plan.structures), UNLABELLED) if begun is None else begun, listener)
    thermostat = TEMPERATURE in registry().get("sampler", plan.sampler).provides
    entries, refused = _evaluable(entries, potential, listener, thermostat=thermostat)
    failures += refused
    if not entries and all(f.code == STILL for f in failures):
        raise UsageError(failures[0].reason, path=failures[0].path, code=STILL)
    if not entries:
        raise NothingUsable(f"none of {len(failures)} structures can be used")
    systems = _started(plan, program, entries, potential)
    kelvins = torch.full((len(entries),), program.at(0), dtype=torch.float64, device=potential.device)
    sampler.init(systems, kelvins, torch.Generator(potential.device))
    return Prepared(program, potential, sampler, tuple(entries), tuple(failures), systems)


def _read(items: Iterable[Entry | Failure], listener: Listener) -> tuple[list[Entry], list[Failure]]:
    entries: list[Entry] = []
    failures: list[Failure] = []
    for item in items:
        if isinstance(item, Failure):
            failures.append(item)
            listener.warn(str(item))
            continue
        entries.append(item)
        for line in item.warnings:
            listener.warn(f"{item.source}: {line}")
    return entries, failures


def _evaluable(
    entries: Sequence[Entry], potential: Potential, listener: Listener, *, thermostat: bool
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
            listener.warn(str(failures[-1]))
        else:
            good.append(entry)
            if still:
                listener.warn(f"{entry.source}: {still}; its 0 K says nothing")
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


def _started(
    plan: SamplingPlan, program: TemperatureProgram, entries: Sequence[Entry], potential: Potential
) -> Systems:
    """The batch with its first velocities."""
    systems = Systems.of([e.atoms for e in entries], potential.device, _fields(entries, potential))
    own = [bool(e.atoms.has("momenta") and e.atoms.get_momenta().any()) for e in entries]
    if plan.velocities == "file" and not all(own):
        raise UsageError("has no velocities; use --velocities auto or random", path=entries[own.index(False)].source)
    given = at_rest(systems)
    drawn = maxwell_boltzmann(systems, program.at(0), plan.seed, [e.id for e in entries])
    keep = torch.tensor([o and plan.velocities != "random" for o in own], device=potential.device)
    rows = keep.index_select(0, systems.structure_index).unsqueeze(1)
    return replace(systems, velocities=torch.where(rows, given.velocities, drawn.velocities))


def homes(folder: Path, ids: Sequence[str]) -> list[Path]:
    """Where the files of each structure go: the folder itself for one, else a folder of its name in it."""
    if len(ids) == 1:
        return [folder]
    taken: set[str] = set()
    found = []
    for name in ids:
        plain = "".join(c if c.isalnum() or c in "._-+" else "_" for c in name).lstrip(".")[:80] or "structure"
        unique, k = plain, 2
        while unique.lower() in taken:
            unique, k = f"{plain}-{k}", k + 1
        taken.add(unique.lower())
        found.append(folder / "structures" / unique)
    return found
