"""Pieces of a run: done by this process one after the other, or by workers, each in the folder of the run.

A worker prepares the same work from the same request, and writes what belongs to its piece where this process would
have written it: files are the same bytes, whoever did them. A piece whose worker dies is gone on with by another, from
wherever the runs in it stand. What a piece leaves is its own; run.json, log.txt and tables are this process's.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host.services import Services
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place, executor
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.engine.run.tasks import UNLIMITED, Lost, Task
from crystalcli.vocabulary.errors import CrystalError, EnvironmentProblem


@dataclass(frozen=True)
class Done:
    """What a worker says of a piece: its result, or why there is none; and what it logged, warnings marked."""

    result: Any = None
    problem: str = ""
    said: Sequence[tuple[bool, str]] = ()


Make = Callable[[RunFolder, Host, Request, Workflow], Run]
"""Makes the run of a worker; picklable by its name."""


def pieces(
    run: Run, work: Work, request: Request, workflow: str, items: Sequence[Any], place: Place, make: Make
) -> Iterator[tuple[Any, Any]]:
    """Yield each of ``items`` with what :meth:`Work.piece` returns of it, in their order.

    Args:
        run: whose pieces they are.
        work: of this process.
        request: what is asked of the workflow.
        workflow: its name.
        items: picklable.
        place: where it is done.
        make: of a worker's folder the run that its pieces are given.

    Raises:
        Stopped: asked to. EnvironmentProblem: no workers, or pieces that cannot be done there; after all others.
    """
    if place == Place():
        for number, item in enumerate(items):
            run.stop_if_asked(f"piece {number} of {len(items)}")
            yield item, work.piece(run, item)
        return
    asked = replace(request, options=replace(request.options, **_alone(request.options)))
    task = Task(start, (workflow, asked, make), UNLIMITED, preload=(__name__, "torch"), ahead=1, window=16)
    problem = ""
    with executor(place, task, run.reporter.say) as who:
        for number, done in who.results(iter(items), pause=run.stop_if_asked):
            if isinstance(done, Lost):
                problem = f"piece {number}: {done.reason}, twice (out of memory? try fewer --jobs or a smaller piece)"
                run.reporter.warn(problem)
                continue
            for warned, line in done.said:
                (run.reporter.warn if warned else run.log)(line)
            if done.problem:
                problem = done.problem
                run.reporter.warn(f"piece {number}: {problem}")
                continue
            yield items[number], done.result
    if problem:
        raise EnvironmentProblem(f"{problem}; what is done is safe, the same command goes on")


def _alone(options: Any) -> dict[str, Any]:
    """Options of a worker that does one piece at a time, on one core if nothing else is said."""
    wanted = {"jobs": 1, "scheduler": "", "threads": getattr(options, "threads", 0) or 1}
    return {k: v for k, v in wanted.items() if hasattr(options, k)}


def start(argument: tuple[str, Request, Make]) -> Callable[[Any, int], Iterator[Done]]:
    """What a worker does: (item, 1 if it is done) → what came of it."""
    name, request, make = argument
    multiprocessing.current_process().daemon = False  # runs inside read their structures in processes of their own
    workflow = cast(Workflow, registry().get("workflow", name))
    work = workflow.prepared(request, Services())
    from crystalcli.engine.run.devices import prepare_cpu

    prepare_cpu()

    def do(item: Any, skip: int) -> Iterator[Done]:
        if skip:
            return
        folder = _Elsewhere(request.path)
        host = Services(warn=lambda line: folder.said.append((True, line)))
        run = make(folder, host, request, workflow)
        try:
            yield Done(work.piece(run, item), said=tuple(folder.said))
        except CrystalError as problem:
            yield Done(problem=str(problem), said=tuple(folder.said))

    return do


@dataclass
class _Elsewhere(RunFolder):
    """The run's folder for a worker: it writes files of its pieces, and neither the run's record nor its log."""

    said: list[tuple[bool, str]] = field(default_factory=list)

    def write_record(self) -> None:
        """Leave it to the process of the run."""

    def log(self, text: str) -> None:
        """Tell the process of the run."""
        self.said.append((False, text))

    def metric(self, values: Mapping[str, Any]) -> None:
        """None: metrics are the run's."""


def place_of(jobs: int, scheduler: str) -> Place:
    """As people say it: one job is this process."""
    return Place(jobs if jobs > 1 else 0, scheduler)
