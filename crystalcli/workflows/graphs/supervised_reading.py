"""Files → structures, read in a supervised process: what hangs or dies is named, this process never parses a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from crystalcli.mechanisms.running.places import Place, executor
from crystalcli.mechanisms.running.tasks import Limits, Lost, Task
from crystalcli.mechanisms.structure_files import reading
from crystalcli.mechanisms.structure_files.reading import Failure, Item
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.workflows.graphs.build_graphs_work import named

ONE = Place(1)
"""One process of this machine."""
PRELOAD = (__name__, "crystalcli.nouns.structures.extxyz")
"""Loaded once, in the server of forks: ASE takes as long as many files do."""
LIMITS = Limits()
"""Of that process."""


class Reading:
    """Structures of all files in order, with ids unique over all of them; the process begins with the context.

    Args:
        paths: files.
        options: choices for formats that need them.
        place: where they are read.
        fork: the process may be forked off this one, which then holds no lock and no open file that matters.

    Raises:
        UsageError: as :func:`crystalcli.mechanisms.structure_files.reading.plan`.
    """

    def __init__(
        self, paths: Sequence[Path], options: ReadOptions = DEFAULTS, place: Place = ONE, *, fork: bool = False
    ) -> None:
        self._files = reading.plan(paths, options).items
        self._task = Task(start, options, LIMITS, preload=PRELOAD, fork=fork)
        self._place, self._open = place, ExitStack()

    def __enter__(self) -> Reading:
        self._results = self._open.enter_context(executor(self._place, self._task)).results(self._files)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Entry | Failure]:
        """Once only; the process ends with the last structure, a long run has no use for it."""
        ids = reading.Ids()
        for number, item in self._results:
            if isinstance(item, Lost):
                yield named(item, self._files[number])
            else:
                yield ids.keep_apart(item) if isinstance(item, Entry) else item
        self._open.close()


def read_inputs(
    paths: Sequence[Path], options: ReadOptions = DEFAULTS, place: Place = ONE
) -> Iterator[Entry | Failure]:
    """Yield what a :class:`Reading` does; the process begins with the first structure that is asked for."""
    with Reading(paths, options, place) as structures:
        yield from structures


def start(options: ReadOptions) -> Callable[[Item, int], Iterator[Entry | Failure]]:
    """(File, structures to leave out) → structures; what the process does."""
    return lambda item, skip: islice(reading.read_file(*item, options), skip, None)
