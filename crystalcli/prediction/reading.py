"""Inputs of a prediction: caches, and files that become structures with graphs in worker processes.

Loads no torch: the workers begin, at little cost, while the program that predicts still loads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import ase

from crystalcli.engine.cache import cache_seal
from crystalcli.engine.model.model_fields import recipe_of_file
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.read import reading
from crystalcli.engine.read.inputs import about, expand
from crystalcli.engine.read.reading import Failure, ReadItem
from crystalcli.engine.read.supervised_reading import Callbacks, supervised
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.tasks import Limits, Task
from crystalcli.graphs.packing import GraphWork, graph_maker, graph_of
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.prediction.options import PredictOptions


@dataclass(frozen=True)
class Read:
    """A structure as read, with its graph."""

    entry: Entry
    graph: GraphArrays


class GraphReading:
    """Reads inputs, inside the context; what is read has ids that are unique over all inputs.

    ``ids`` keeps them apart; whoever takes structures of the caches asks it, too.

    Args:
        inputs: as typed.
        work: how graphs are made.
        place: where.
        limits: of each worker.
        say: told why it takes long.

    Raises:
        UsageError: inputs that cannot be meant.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        work: GraphWork,
        place: Place,
        *,
        limits: Limits | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.paths = expand(inputs)
        self.caches = [p for p in self.paths if is_cache(p)]
        caches = set(self.caches)
        planned = reading.plan([p for p in self.paths if p not in caches], work.reading)
        self._files = planned.items
        for line in planned.warnings:
            say(line)
        count = Counter(item.path for item in self._files)
        groups = groupby(self.paths, lambda p: p in caches)
        self._groups = [(cache, sum(1 if cache else count[p] for p in some)) for cache, some in groups]
        self._place, self._say = place, say
        self._task = Task(start, work, limits or Limits(), preload=(__name__,), fork=True)
        self.ids = reading.Ids()

    def __enter__(self) -> GraphReading:
        self._context = supervised(self._task, self._files, self._place, heard=Callbacks(self._say))
        self._results = self._context.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def about(self) -> int | None:
        """How many structures there are, for those who wait; none where that cannot be seen without reading them."""
        if self.caches:
            return None
        return about(self.paths)

    def parts(self) -> Iterator[Path | Iterator[Read | Failure]]:
        """Yield, in order, every cache, and of every run of files between caches what is read of them."""
        caches, done = iter(self.caches), 0
        self._following = next(self._results, None) if self._files else None
        for cache, n in self._groups:
            if cache:
                yield from islice(caches, n)
            else:
                done += n
                yield self._of_files(done)

    def _of_files(self, end: int) -> Iterator[Read | Failure]:
        """What is read of the files up to number ``end``."""
        while self._following is not None and self._following[0] < end:
            item: Read | Failure = self._following[1]
            if isinstance(item, Failure):
                yield item
            else:
                yield Read(self.ids.keep_apart(item.entry), item.graph)
            self._following = next(self._results, None)


def begun(asked: PredictOptions, say: Callable[[str], None]) -> GraphReading:
    """The reading of what a prediction is asked for, whose workers begin inside its context.

    Args:
        asked: options of the prediction.
        say: told why it takes long.

    Raises:
        UsageError, InputError: no such model, or inputs that cannot be meant.
    """
    recipe = recipe_of_file(named_by(asked.model))
    work = GraphWork.of(recipe, ReadOptions(asked.cif_column, asked.id_column, "needed" if asked.labels else "welcome"))
    limits = Limits.of(asked.seconds_per_file, asked.memory_per_job)
    return GraphReading(asked.inputs, work, Place.of(asked.jobs, asked.scheduler), limits=limits, say=say)


def start(work: GraphWork) -> Callable[[ReadItem, int], Iterator[Read | Failure]]:
    """(File, results to leave out) → structures with graphs; what a worker does."""
    make = graph_maker(work)

    def do(item: ReadItem, skip: int) -> Iterator[Read | Failure]:
        for entry in islice(reading.read_file(*item, work.reading), skip, None):
            yield with_graph(work, make, entry)

    return do


def with_graph(work: GraphWork, make: Callable[[ase.Atoms], GraphArrays], item: Entry | Failure) -> Read | Failure:
    """A structure and what ``make`` makes of it."""
    if isinstance(item, Failure):
        return item
    graph = graph_of(work, make, item)
    return graph if isinstance(graph, Failure) else Read(item, graph)


def is_cache(path: Path) -> bool:
    """Whether ``path`` is a graph cache (and not some other HDF5 file)."""
    return path.suffix.lower() in (".h5", ".hdf5") and path.is_file() and cache_seal.is_sealed(path)
