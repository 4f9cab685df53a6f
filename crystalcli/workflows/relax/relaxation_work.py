"""Shards of structures → outcomes, here or in worker processes; every shard's result depends on the shard alone."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Potential
from crystalcli.contracts.records import Relaxer
from crystalcli.mechanisms.forces.potentials import Precision, named
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.relaxation.cell_coordinates import CellCoordinates
from crystalcli.mechanisms.relaxation.constraints import projections, without_constraints
from crystalcli.mechanisms.relaxation.fixing import Fixing
from crystalcli.mechanisms.relaxation.relaxing import Batch, Heard
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import EnvironmentProblem, InputError, Stopped, UsageError
from crystalcli.workflows.relax.relaxation_outcome import Outcome, outcomes
from crystalcli.workflows.relax.relaxation_plan import Listener, RelaxationPlan

Items = Sequence[Entry | Failure]
Shard = tuple[int, Items]


class Worker:
    """A plan with everything looked up: relaxes one shard after the other.

    Args:
        plan: the plan.

    Raises:
        UsageError: parts, options or numbers that cannot work. InputError: the model cannot be read.
    """

    def __init__(self, plan: RelaxationPlan) -> None:
        self.plan, self.goal = plan, plan.goal()
        self.fixing = Fixing.parse(plan.fix_elements, plan.fix_below, plan.fix_indices)
        self.relaxer = cast(Relaxer, registry().get("relaxer", plan.relaxer))
        owner = f"relaxer {plan.relaxer}"
        self.relaxer_options: Any = opt.make(self.relaxer.options, plan.relaxer_options, owner=owner)
        if plan.threads:
            torch.set_num_threads(plan.threads)
        self.potential: Potential = named(
            plan.potential,
            device=plan.device,
            dtype=cast(Precision, plan.dtype),
            options=plan.potential_options,
        )
        if plan.cell != "none" and "stress" not in self.potential.provides:
            raise UsageError(f"potential {self.potential.name} gives no stress; --cell {plan.cell} needs it")

    def relax(
        self,
        items: Items,
        pause: Callable[[], None] = lambda: None,
        heard: Heard = lambda _step, _left: None,
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
        if ready:
            entries = [e for _, e in ready]
            device = self.potential.device
            allowed = torch.as_tensor(np.concatenate([projections(e.atoms) for e in entries]), device=device)
            systems = Systems.of([without_constraints(e.atoms) for e in entries], device)
            coords = CellCoordinates.of(systems, allowed, self.goal.cell, self.goal.pressure)
            batch = Batch(coords, self.potential, self.relaxer.build(self.relaxer_options), self.goal)
            relaxed = batch.run(pause, heard)
            for (k, _), outcome in zip(ready, outcomes(entries, relaxed, self.plan.symprec), strict=True):
                found[k] = outcome
        return [found[k] for k in range(len(items))]

    def _laid_out(self, item: Entry | Failure) -> Entry | Outcome:
        """The structure with all that holds its atoms, or why it cannot be relaxed."""
        if isinstance(item, Failure):
            return Outcome.failed(item)
        try:
            atoms = self.fixing.apply(item.atoms)
            projections(atoms)
            if self.goal.cell != "none" and not atoms.pbc.all():
                raise InputError(
                    f"is not periodic along all three vectors; --cell {self.goal.cell} needs that", code="not-periodic"
                )
        except InputError as problem:
            return Outcome(item.id, item.source, problem.code or "structure", problem.reason)
        return replace(item, atoms=atoms)


def relaxed_shards(
    plan: RelaxationPlan, worker: Worker, shards: Iterator[Shard], stop: Stop, listener: Listener
) -> Iterator[tuple[int, list[Outcome]]]:
    """Yield the outcomes of every shard, in order and whatever the number of processes.

    Raises:
        Stopped: asked to; what was finished has been yielded.
    """

    def pause() -> None:
        if why := stop.reason():
            raise Stopped(f"stopped by {why}; the same command or --resume {plan.output} goes on")

    if plan.jobs < 2:
        for number, items in shards:
            pause()
            yield number, worker.relax(items, pause, listener.step)
        return
    waiting: deque[tuple[int, Future[list[Outcome]]]] = deque()
    with _pool(plan) as (pool, halt):
        try:
            for number, items in shards:
                while len(waiting) >= 2 * plan.jobs:
                    yield _next(waiting, pause)
                waiting.append((number, pool.submit(_task, items)))
            while waiting:
                yield _next(waiting, pause)
        except Stopped:
            halt.set()
            yield from ((n, f.result()) for n, f in waiting if f.done() and f.exception() is None)
            raise
        except BrokenProcessPool as problem:
            raise EnvironmentProblem("a worker process died (out of memory?); try fewer --jobs") from problem


def _next(waiting: deque[tuple[int, Future[list[Outcome]]]], pause: Callable[[], None]) -> tuple[int, list[Outcome]]:
    number, future = waiting[0]
    while True:
        pause()
        try:
            result = future.result(timeout=0.2)
        except StillRunning:
            continue
        waiting.popleft()
        return number, result


_state: dict[str, Any] = {}
"""Of a worker process."""


@contextmanager
def _pool(plan: RelaxationPlan) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Workers of a clean process, and the event by which they are told to give up."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    halt = context.Event()
    pool = ProcessPoolExecutor(plan.jobs, mp_context=context, initializer=_start, initargs=(plan, halt))
    try:
        yield pool, halt
    finally:
        halt.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _start(plan: RelaxationPlan, halt: Any) -> None:
    import signal
    import warnings

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent ends the pool
    warnings.simplefilter("ignore")
    _state["halt"], _state["worker"] = halt, Worker(replace(plan, threads=plan.threads or 1))


def _task(items: Items) -> list[Outcome]:
    def pause() -> None:
        if _state["halt"].is_set():
            raise Stopped("stopped")

    worker: Worker = _state["worker"]
    return worker.relax(items, pause)
