"""Files → packed graphs, here or in worker processes; always in the order of the files."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import ase

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Featurizer
from crystalcli.mechanisms.caches.cache_packing import PackedGraph, pack
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.structure_files.reading import Failure, read_file
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import CrystalError, one_line

FILES_PER_TASK = 16
"""Files a worker takes at a time; fewer than twice this, and no worker is started."""


@dataclass(frozen=True)
class Work:
    """What every file is to be put through.

    Args:
        featurizer, options: what makes the graphs.
        reading: choices for formats that need them.
        required: labels without which a structure is left out; each by any of its keys.
    """

    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reading: ReadOptions = field(default_factory=ReadOptions)
    required: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Built:
    """A structure and its graph."""

    entry: Entry
    graph: PackedGraph


@dataclass(frozen=True)
class LeftOut:
    """A structure without a label that was required."""

    label: str


Named = tuple[Path, str]
"""A file and the id it gives."""
Outcome = Built | Failure | LeftOut


def outcomes(work: Work, files: Sequence[Named], jobs: int) -> Iterator[Outcome]:
    """Yield what becomes of every structure of ``files``, in order and whatever ``jobs``."""
    tasks = [files[k : k + FILES_PER_TASK] for k in range(0, len(files), FILES_PER_TASK)]
    jobs = min(jobs, len(tasks))
    if jobs < 2:
        make = graph_maker(work)
        for path, name in files:
            yield from build_file(work, make, path, name)
        return
    waiting: deque[tuple[Sequence[Named], Future[list[Outcome]]]] = deque()
    with _pool(work, jobs) as pool:
        for task in tasks:
            while len(waiting) >= 4 * jobs:
                yield from _result(work, *waiting.popleft())
            waiting.append((task, _submit(pool, task)))
        while waiting:
            yield from _result(work, *waiting.popleft())


def graph_maker(work: Work) -> Callable[[ase.Atoms], GraphArrays]:
    """The featurizer's ``build`` with its options.

    Raises:
        UsageError: no such featurizer, or a wrong option.
    """
    part = cast(Featurizer, registry().get("featurizer", work.featurizer))
    return part.build(opt.make(part.options, work.options, owner=f"featurizer {part.name}"))


def build_file(work: Work, make: Callable[[ase.Atoms], GraphArrays], path: Path, name: str) -> Iterator[Outcome]:
    """Yield what becomes of every structure of one file; nothing that is wrong with one stops the next."""
    for item in read_file(path, name, work.reading):
        if isinstance(item, Failure):
            yield item
            continue
        lacks = next((keys[0] for keys in work.required if not any(k in item.labels for k in keys)), None)
        if lacks is not None:
            yield LeftOut(lacks)
            continue
        try:
            graph = pack(make(item.atoms))
        except CrystalError as problem:
            yield Failure(item.source, item.id, "graph", problem.code or "bad-graph", one_line(problem.reason))
        except (Exception, SystemExit) as problem:  # a featurizer's bug costs the structure, not the batch
            reason = one_line(f"featurizer {work.featurizer}: {type(problem).__name__}: {problem}")
            yield Failure(item.source, item.id, "graph", "featurizer-error", reason)
        else:
            yield Built(_with_warning(item, graph), graph)


def _with_warning(entry: Entry, graph: PackedGraph) -> Entry:
    alone = int((graph.degree == 0).sum())
    if not alone:
        return entry
    said = f"{alone} of {len(graph.degree)} atoms have no neighbors"
    return replace(entry, warnings=(*entry.warnings, said))


_state: dict[str, Any] = {}
"""Of a worker process: its work and its featurizer."""


@contextmanager
def _pool(work: Work, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Workers of a clean process, not of a copy of this one with its threads and locks."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__name__])
    # the server of forks may be older than today's settings, which say where plugins are
    settings = {k: v for k, v in os.environ.items() if k.startswith("CRYSTAL_")}
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(work, settings))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(work: Work, settings: Mapping[str, str]) -> None:
    import signal
    import warnings

    for name in [n for n in os.environ if n.startswith("CRYSTAL_")]:
        del os.environ[name]
    os.environ.update(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    warnings.simplefilter("ignore")
    _state["work"], _state["make"] = work, graph_maker(work)


def _task(files: Sequence[Named]) -> list[Outcome]:
    return [item for path, name in files for item in build_file(_state["work"], _state["make"], path, name)]


def _submit(pool: ProcessPoolExecutor, task: Sequence[Named]) -> Future[list[Outcome]]:
    try:
        return pool.submit(_task, task)
    except BrokenProcessPool as problem:
        broken: Future[list[Outcome]] = Future()
        broken.set_exception(problem)
        return broken


def _result(work: Work, task: Sequence[Named], future: Future[list[Outcome]]) -> Iterator[Outcome]:
    """Outcomes of a task; if a worker died, its files are tried again, each alone, so that the culprit is named."""
    try:
        yield from future.result()
        return
    except BrokenProcessPool:
        pass
    for path, name in task:
        with _pool(work, 1) as pool:
            try:
                yield from pool.submit(_task, [(path, name)]).result()
            except BrokenProcessPool:
                yield Failure(str(path), name, "read", "worker-died", "the process that read it died")
