"""Shards of structures → outcomes, wherever the work is done; every shard's result depends on the shard alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Potential, fields_of, frozen
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.records import Relaxer
from crystalcli.contracts.request import Request
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.registry.at_fault import at_fault
from crystalcli.engine.registry.movers import AskedRelaxer
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.devices import choose_device, prepare_cpu
from crystalcli.engine.run.places import Place, executor
from crystalcli.engine.run.tasks import UNLIMITED, Lost, Task
from crystalcli.nouns.structures.constraints import projections, without_constraints
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems
from crystalcli.relax.answers import remembering
from crystalcli.relax.cell_coordinates import CellCoordinates
from crystalcli.relax.fixing import Fixing
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.outcome import Outcome, outcomes
from crystalcli.relax.relaxing import Callback, RelaxationBatch
from crystalcli.relax.start import GUESS, StartModel
from crystalcli.vocabulary.errors import (
    CrystalError,
    EnvironmentProblem,
    InputError,
    PluginFault,
    Stopped,
    UsageError,
    what_happened,
)

Items = Sequence[Entry | Failure]
Shard = tuple[int, Items]


class ShardRequest(Protocol):
    """Whoever may be asked to stop while structures are relaxed: a :class:`crystalcli.contracts.workflow.Run`."""

    @property
    def reporter(self) -> Reporter:
        """Hears of it."""

    def stop_if_asked(self) -> None:
        """Raise Stopped where somebody asks for it."""


class Worker:
    """A request with everything looked up: relaxes one shard after the other.

    Args:
        request: of ``crystal relax``; its structures do not matter here.
        warn: told what a careful user wants to know; may be another later.

    Raises:
        UsageError: parts, options or numbers that cannot work. InputError: the model cannot be read.
    """

    def __init__(self, request: Request, warn: Callable[[str], None] = lambda _line: None) -> None:
        self.request = request
        self.options: RelaxOptions = request.options
        self.warn = warn
        o = self.options
        self.goal = o.goal()
        self.fixing = Fixing.parse(o.fix_elements, o.fix_below, o.fix_indices)
        name = o.relaxer or registry().default("relaxer")
        self.relaxer = cast(Relaxer, registry().get("relaxer", name))
        given = request.parts["relaxer"].options if "relaxer" in request.parts else {}
        self.relaxer_options: Any = opt.make(self.relaxer.options, given, owner=f"relaxer {name}")
        if o.threads:
            torch.set_num_threads(o.threads)
        self.potential: Potential = named(
            o.potential,
            device=o.device,
            dtype=o.dtype,
            options=request.parts["potential"].options if "potential" in request.parts else {},
            surfaces=True,
        )
        self.asked: Potential = self.potential
        self.on_surface = "surface" in self.potential.provides
        self.start = self._start_model() if o.start else None
        if self.start is not None and self.on_surface:
            raise UsageError("--start judges by energies, and a surface has none; give --potential a potential")
        if o.compare_starts and not o.start:
            raise UsageError("--compare-starts compares with where a model says; add --start MODEL")
        if o.cell != "none" and "stress" not in self.potential.provides:
            raise UsageError(f"potential {self.potential.name} gives no stress; --cell {o.cell} needs it")

    def _start_model(self) -> StartModel:
        o = self.options
        return StartModel(Path(o.start), str(choose_device(o.device)), o.cell, o.pressure, warn=self._heard)

    def _heard(self, line: str) -> None:
        self.warn(line)  # whoever that is by then

    def relax(
        self,
        items: Items,
        pause: Callable[[], None] = lambda: None,
        heard: Callback = lambda _step, _left: None,
    ) -> list[Outcome]:
        """Outcomes of one shard, in order. What ``pause`` raises gives the shard up."""
        found: dict[int, Outcome] = {}
        ready: list[tuple[int, Entry]] = []
        for k, item in enumerate(items):
            laid = self._laid_out(item)
            if isinstance(laid, Outcome):
                found[k] = laid
            else:
                ready.append((k, laid))
        with remembering(self.potential, self.request, [one.id for one in items]) as self.asked:
            made = self._from_start([e for _, e in ready], pause, heard)
        found |= {k: outcome for (k, _), outcome in zip(ready, made, strict=True)}
        return [found[k] for k in range(len(items))]

    def _from_start(self, entries: list[Entry], pause: Callable[[], None], heard: Callback) -> list[Outcome]:
        """Relax from where the model of ``--start`` says, if there is one."""
        if self.start is None or not entries:
            return self._relaxed(entries, pause, heard)
        begun = self.start.begun(entries, self.asked, self._fields)
        made = self._relaxed([e for e, _ in begun], pause, heard)
        begins = [b for _, b in begun]
        if self.options.compare_starts:
            # what began at the file's place has been relaxed from there
            from_guess = [e for e, b in zip(entries, begins, strict=True) if b.taken == GUESS]
            moved = iter(self._relaxed(from_guess, pause, heard))
            plain = [next(moved) if b.taken == GUESS else m for b, m in zip(begins, made, strict=True)]
            begins = [
                replace(b, steps_given=p.steps) if p.converged and m.converged else b
                for b, p, m in zip(begins, plain, made, strict=True)
            ]
        return [replace(m, begin=b) for m, b in zip(made, begins, strict=True)]

    def _relaxed(self, entries: list[Entry], pause: Callable[[], None], heard: Callback) -> list[Outcome]:
        if not entries:
            return []
        device = self.potential.device
        allowed = torch.as_tensor(np.concatenate([projections(e.atoms) for e in entries]), device=device)
        given = [self._fields(e) for e in entries]
        systems = Systems.of([without_constraints(e.atoms) for e in entries], device, given)
        try:
            potential = frozen(self.asked, systems)
        except InputError as problem:  # of one of them
            if len(entries) == 1:
                (entry,), reason = entries, problem.reason.removeprefix("structure 0: ")
                return [Outcome(entry.id, entry.source, problem.code or "potential", reason)]
            return [outcome for e in entries for outcome in self._relaxed([e], pause, heard)]
        coords = CellCoordinates.of(systems, allowed, self.goal.cell, self.goal.pressure)
        mover = AskedRelaxer(self.relaxer, self.relaxer_options)
        batch = RelaxationBatch(coords, potential, mover, self.goal, self.options.trajectory_every)
        made = outcomes(entries, batch.run(pause, heard), self.options.symprec)
        return [replace(o, surface=self.on_surface) for o in made]

    def _fields(self, entry: Entry) -> dict[str, Any]:
        """What the potential reads of every atom."""
        return of_atoms(entry.atoms, fields_of(self.potential), entry.labels)

    def _laid_out(self, item: Entry | Failure) -> Entry | Outcome:
        """The structure with all that holds its atoms, or why it cannot be relaxed."""
        if isinstance(item, Failure):
            return Outcome.failed(item)
        try:
            atoms = self.fixing.apply(item.atoms)
            projections(atoms)
            self._fields(replace(item, atoms=atoms))
            if self.goal.cell != "none" and not atoms.pbc.all():
                raise InputError(
                    f"is not periodic along all three vectors; --cell {self.goal.cell} needs that", code="not-periodic"
                )
        except InputError as problem:
            return Outcome(item.id, item.source, problem.code or "structure", problem.reason)
        return replace(item, atoms=atoms)


def relaxed_shards(
    request: Request, worker: Worker, shards: Iterator[Shard], run: ShardRequest, heard: Callback
) -> Iterator[tuple[int, list[Outcome]]]:
    """Yield the outcomes of every shard, in order and wherever they are worked on.

    Args:
        request: what is asked.
        worker: made of it.
        shards: the structures.
        run: asked whether to stop, and told what the workers say and warn of.
        heard: told of every step, where it is this process that works.

    Raises:
        Stopped: asked to. EnvironmentProblem: no workers. What was finished has been yielded.
    """
    o: RelaxOptions = request.options
    place = Place(o.jobs if o.jobs > 1 else 0, o.scheduler)
    worker.warn = run.reporter.warn
    if place == Place():
        for number, items in shards:
            run.stop_if_asked()
            yield number, worker.relax(items, run.stop_if_asked, heard)
        return
    given: dict[int, Shard] = {}

    def each() -> Iterator[Items]:
        for k, shard in enumerate(shards):
            given[k] = shard
            yield shard[1]

    said: set[str] = set()

    def named(found: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, list[Outcome]]]:
        for k, done_or_lost in found:
            number, items = given.pop(k)
            if isinstance(done_or_lost, Lost):
                yield number, _lost(items, done_or_lost)
                continue
            done, lines, fault = done_or_lost
            if fault:
                raise PluginFault(fault)
            for line in lines:
                if line not in said:  # by another worker
                    said.add(line)
                    run.reporter.warn(line)
            yield number, done

    lean = replace(o, structures=(), threads=o.threads or 1)  # what a worker has no need of
    task = Task(start, replace(request, options=lean), UNLIMITED, preload=(__name__,), ahead=1, window=2)
    with executor(place, task, run.reporter.say) as who:
        try:
            yield from named(who.results(each(), pause=run.stop_if_asked))
        except (Stopped, EnvironmentProblem):
            yield from named(who.finished())
            raise


Done = tuple[list[Outcome], list[str], str]
"""What became of a shard, what is to be warned of, and what a plugin did wrong, if one did."""


def start(request: Request) -> Callable[[Items, int], Iterator[Done]]:
    """What a worker does: (structures of a shard, 1 if they are done) → their outcomes, and warnings."""
    prepare_cpu()
    worker = Worker(request)  # what it warns of here, it has warned of where the work is given out

    def do(items: Items, skip: int) -> Iterator[Done]:
        if not skip:
            lines: list[str] = []
            worker.warn = lines.append
            try:
                done, fault = worker.relax(items), ""
            except PluginFault as problem:  # or it would look as if this process had died of the structures
                done, fault = [], problem.reason
            except Exception as problem:
                if isinstance(problem, CrystalError | MemoryError) or (plugin := at_fault(problem)) is None:
                    raise
                done, fault = [], f"bug in plugin {plugin.name}: {what_happened(problem)}"
            yield done, lines, fault

    return do


def _lost(items: Items, lost: Lost) -> list[Outcome]:
    """Outcomes of structures on which a worker died twice."""
    reason = f"{lost.reason}, twice (out of memory? try fewer --jobs or a smaller --batch-size)"
    failed = (i if isinstance(i, Failure) else Failure(i.source, i.id, "relax", "worker-died", reason) for i in items)
    return [Outcome.failed(f) for f in failed]
