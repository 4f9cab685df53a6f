"""Files → structures, read in a supervised process: what hangs or dies is named, this process never parses a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from crystalcli.mechanisms.running.places import Place
from crystalcli.mechanisms.structure_files import reading
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.workflows.graphs.build_graphs_work import Named, supervised

ONE = Place(1)
"""One process of this machine."""


def read_inputs(
    paths: Sequence[Path], options: ReadOptions = DEFAULTS, place: Place = ONE
) -> Iterator[Entry | Failure]:
    """Yield the structures of all files in order, with ids unique over all of them."""
    names, ids = reading.plan(paths, options).names, reading.Ids()
    for _, item in supervised(start, options, [(p, names[p]) for p in paths], place):
        yield ids.keep_apart(item) if isinstance(item, Entry) else item


def start(options: ReadOptions) -> Callable[[Named, int], Iterator[Entry | Failure]]:
    """(File and id, structures to leave out) → structures; what the process does."""
    return lambda item, skip: islice(reading.read_file(*item, options), skip, None)
