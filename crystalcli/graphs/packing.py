"""Files → packed graphs, wherever the work is done; always in the order of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar, cast

import ase

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Featurizer
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.cache.cache_packing import PackedGraph, pack
from crystalcli.engine.labels.label_words import refusal
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.read.reading import Failure, ReadItem, read_file
from crystalcli.engine.read.supervised_reading import NOBODY, Callbacks, supervised
from crystalcli.engine.registry.graph_builders import CODE, called, graph_builder
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.registry.working_folder import staying
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.tasks import Limits, Task
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.site_fields import SiteField, of_atoms
from crystalcli.vocabulary.errors import CrystalError, InputError, one_line


@dataclass(frozen=True)
class GraphWork:
    """What every file is to be put through.

    Args:
        featurizer, options: what makes the graphs.
        reading: choices for formats that need them.
        required: labels without which a structure is left out; each by any of its keys.
        asked: keys of all labels that were asked for; what is no number there, but was meant as one, is refused.
        fields: per-site fields that every graph is to hold.
    """

    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reading: ReadOptions = field(default_factory=ReadOptions)
    required: tuple[tuple[str, ...], ...] = ()
    asked: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def recipe(self) -> GraphRecipe:
        """How the graphs are made."""
        return GraphRecipe(self.featurizer, self.options, self.fields)

    @classmethod
    def of(cls, recipe: GraphRecipe, reading: ReadOptions = DEFAULTS) -> GraphWork:
        """Graphs as ``recipe`` says, and nothing asked of labels."""
        return cls(recipe.featurizer, recipe.options, reading, fields=recipe.fields)


@dataclass(frozen=True)
class Built:
    """A structure that has become a graph: what its labels need of it, what to tell the user, the graph."""

    entry: Labelled
    warnings: tuple[str, ...]
    graph: PackedGraph


@dataclass(frozen=True)
class LeftOut:
    """A structure without a label that was required."""

    label: str


Made = TypeVar("Made")
FileOutcome = Built | Failure | LeftOut


def outcomes(
    work: GraphWork,
    files: Sequence[ReadItem],
    place: Place,
    skip: Mapping[int, int] | None = None,
    *,
    limits: Limits | None = None,
    heard: Callbacks = NOBODY,
) -> Iterator[tuple[int, FileOutcome]]:
    """Yield (number of the file, what becomes of a structure of it), in order and whatever ``place``.

    Args:
        work: what every structure is put through.
        files: as :func:`crystalcli.engine.read.reading.plan` names and cuts them.
        place: where it is done.
        skip: outcomes of a file, by its number, that are known already and left out.
        limits: of each worker.
        heard: while results are waited for.
    """
    task = Task(start, work, limits or Limits(), preload=(__name__,))
    with supervised(task, files, place, skip, heard) as found:
        yield from found


def start(work: GraphWork) -> Callable[[ReadItem, int], Iterator[FileOutcome]]:
    """(File, outcomes to leave out) → outcomes; what a worker does."""
    make = graph_maker(work)
    return lambda item, skip: build_file(work, make, item, skip)


def graph_maker(work: GraphWork) -> Callable[[ase.Atoms], GraphArrays]:
    """The featurizer's ``build`` with its options.

    Raises:
        UsageError: no such featurizer, or a wrong option, or it builds no function.
    """
    part = cast(Featurizer, registry().get("featurizer", work.featurizer))
    return graph_builder(part, opt.make(part.options, work.options, owner=f"featurizer {part.name}"))


def build_file(
    work: GraphWork, make: Callable[[ase.Atoms], GraphArrays], file: ReadItem, skip: int = 0
) -> Iterator[FileOutcome]:
    """Yield what becomes of every structure of one file but the first ``skip``.

    Nothing that is wrong with one stops the next.
    """
    for item in islice(read_file(*file, work.reading), skip, None):
        if isinstance(item, Failure):
            yield item
            continue
        if why := refusal(item, work.asked):
            yield Failure(item.source, item.id, "label", "label", one_line(why))
            continue
        lacks = next((keys[0] for keys in work.required if not any(k in item.labels for k in keys)), None)
        yield LeftOut(lacks) if lacks is not None else _build(work, make, item)


def graph_of(
    work: GraphWork,
    make: Callable[[ase.Atoms], GraphArrays],
    item: Entry,
    finish: Callable[[GraphArrays], Made] = lambda graph: graph,  # type: ignore[assignment, return-value]
) -> Made | Failure:
    """What ``make`` makes of a structure, with its fields; a bug of it costs the structure, not the batch."""
    try:
        with staying():
            made = make(item.atoms)
        return finish(with_fields(made, item.atoms, work.fields, item.labels))
    except CrystalError as problem:
        return Failure(item.source, item.id, "graph", problem.code or "bad-graph", one_line(problem.reason))
    except (Exception, SystemExit) as problem:
        reason = one_line(f"{called(work.featurizer)}: {type(problem).__name__}: {problem}")
        return Failure(item.source, item.id, "graph", CODE, reason)


def with_fields(
    graph: GraphArrays, atoms: ase.Atoms, fields: Sequence[str], labels: Mapping[str, Any] | None = None
) -> GraphArrays:
    """``graph`` with per-site ``fields`` of its structure.

    Raises:
        InputError: the structure does not have one, or the featurizer has made one of that name.
    """
    if not fields:
        return graph
    found = of_atoms(atoms, fields, labels)
    if twice := sorted(found.keys() & graph.fields.keys()):
        raise InputError(f"the featurizer makes a field '{twice[0]}' of its own; do not ask for it", code="fields")
    return replace(graph, fields={**graph.fields, **found})


def _build(work: GraphWork, make: Callable[[ase.Atoms], GraphArrays], item: Entry) -> FileOutcome:
    graph = graph_of(work, make, item, pack)
    if isinstance(graph, Failure):
        return graph
    alone = int((graph.degree == 0).sum())
    said = (f"{alone} of {len(graph.degree)} atoms have no neighbors",) if alone else ()
    taken = {SiteField.parse(f).name for f in work.fields} - set(work.asked)  # fields are no labels unless asked for
    labels = {k: v for k, v in item.labels.items() if k not in taken}
    left_out = {k: v for k, v in item.left_out.items() if k not in taken}
    kept = replace(item, labels=labels, left_out=left_out) if taken else item
    return Built(Labelled.of(kept), (*item.warnings, *said), graph)
