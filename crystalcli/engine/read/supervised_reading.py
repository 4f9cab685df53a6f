"""Files → structures, read in a supervised process: what hangs or dies is named, this process never parses a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from crystalcli.engine.read import reading
from crystalcli.engine.read.reading import Failure, ReadItem
from crystalcli.engine.run.places import Place, executor
from crystalcli.engine.run.tasks import Limits, Lost, Task
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions

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
        UsageError: as :func:`crystalcli.engine.read.reading.plan`.
    """

    def __init__(
        self, paths: Sequence[Path], options: ReadOptions = DEFAULTS, place: Place = ONE, *, fork: bool = False
    ) -> None:
        self._files = reading.plan(paths, options).items
        self._task = Task(start, options, LIMITS, preload=PRELOAD, fork=fork)
        self._place, self._open = place, ExitStack()

    def __enter__(self) -> Reading:
        self._results = self._open.enter_context(supervised(self._task, self._files, self._place))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Entry | Failure]:
        """Once only; the process ends with the last structure, a long run has no use for it."""
        ids = reading.Ids()
        for _number, item in self._results:
            yield ids.keep_apart(item) if isinstance(item, Entry) else item
        self._open.close()


def read_inputs(paths: Sequence[Path], options: ReadOptions = DEFAULTS) -> Iterator[Entry | Failure]:
    """Yield what a :class:`Reading` does; the process begins with the first structure that is asked for."""
    with Reading(paths, options) as structures:
        yield from structures


def start(options: ReadOptions) -> Callable[[ReadItem, int], Iterator[Entry | Failure]]:
    """(File, structures to leave out) → structures; what the process does."""
    return lambda item, skip: islice(reading.read_file(*item, options), skip, None)


@dataclass(frozen=True)
class Callbacks:
    """Who hears of work that is waited for.

    Args:
        say: told why it takes long. pause: called now and then; what it raises ends the work.
    """

    say: Callable[[str], None] = lambda _line: None
    pause: Callable[[], None] = lambda: None


NOBODY = Callbacks()


@contextmanager
def supervised(
    task: Task,
    files: Sequence[ReadItem],
    place: Place,
    skip: Mapping[int, int] | None = None,
    heard: Callbacks = NOBODY,
) -> Iterator[Iterator[tuple[int, Any]]]:
    """What ``task`` makes of every file, inside the context: (number of the file, result), in order.

    A file that is the end of its worker is a failure; the only place where one becomes that.

    Args:
        task: what is done to each file.
        files: as :func:`crystalcli.engine.read.reading.plan` names and cuts them.
        place: where it is done; without files no worker begins.
        skip: results of a file, by its number, that are known already and left out.
        heard: while results are waited for.
    """
    with executor(place if files else Place(), task, heard.say) as who:
        results = who.results(files, skip, heard.pause)
        yield ((n, _lost(item, files[n]) if isinstance(item, Lost) else item) for n, item in results)


def _lost(lost: Lost, item: ReadItem) -> Failure:
    """The failure of a file, or of a piece of one, that was the end of its worker."""
    piece, where = item.piece, ""
    if piece.count is not None:
        where = f", after structure {piece.first + lost.after}; what follows up to {piece.first + piece.count} is lost"
    elif done := piece.first + lost.after:
        where = f", after {done} structures; what follows in this file is lost"
    code = "timeout" if lost.timed_out else "worker-died"
    return Failure(str(item.path), item.name, "read", code, lost.reason + where)
