"""Model + structures → values, in input order, a block of structures at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.run_options import BATCH_SIZE
from crystalcli.engine.cache.cache import Column, GraphRecipe
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate.batches import Known, batches, from_cache
from crystalcli.engine.evaluate.evaluator import Elsewhere, Evaluator, GraphBatch, start
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_fields import recipe_of_model
from crystalcli.engine.model.model_inputs import inputs_of
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.sigma_fit import UNCALIBRATED
from crystalcli.engine.model.taught import Taught
from crystalcli.engine.read.reading import Failure, Ids
from crystalcli.engine.run.places import Place, executor
from crystalcli.engine.run.run_folder import sha256
from crystalcli.engine.run.tasks import UNLIMITED, Executor, Task
from crystalcli.graphs.packing import GraphWork, graph_maker
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.site_fields import TAGS
from crystalcli.prediction.extrapolation import Domain
from crystalcli.prediction.inputs import InputFinder
from crystalcli.prediction.labels import LabelFinder
from crystalcli.prediction.noticed import Noticed
from crystalcli.prediction.reading import GraphReading, Read, with_graph
from crystalcli.prediction.rows import Row, Rows
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

HERE = Place()
"""This process."""
ONE = Place(1)
"""One supervised process that reads."""
BLOCK = 1024
"""Structures looked at together: their elements are named before any of them is predicted."""


class Predictor:
    """A loaded model with all that is needed to predict structures.

    Args:
        path: model file, or the folder of the run that made it.
        device: as for ``torch.device``.
        batch_size: structures in a batch, at most.
        allow_unseen: predict structures with elements that training never saw, too.
        unseen_cure: what is said to those whose structures are refused for their elements.
        labels: where to find labels in the inputs, by :class:`LabelRequest`; default the targets' own names.
        latent: give the vectors of the sites, too.
        place: where the model works; elsewhere it is read from ``path``.
        warn: told of what a careful user wants to know.

    Attributes:
        taught: the structures that trained or validated the model.
        noticed: what is told of all structures together.
        labelled: targets that inputs have labels of, as far as is known when the first row comes: all caches, and the
            first block of what is read from files before it.

    Raises:
        InputError, UsageError, UnsafeInput: no model there, or none that can be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = BATCH_SIZE,
        allow_unseen: bool = False,
        unseen_cure: str = "",
        labels: Sequence[LabelRequest] = (),
        latent: bool = False,
        place: Place = HERE,
        warn: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.path = named_by(path)
        self.model, self.provenance = model_file.load(self.path)
        self.latent = latent
        if latent and not isinstance(self.model, CrystalModel):
            raise UsageError("is an ensemble, which has no latent vectors; take one of its members", path=self.path)
        self.place, self.wished_device = place, str(device)
        self.evaluate = Evaluator(self.model, torch.device(device if place == HERE else "cpu"), latent=latent)
        self.batch_size, self.allow_unseen, self.unseen_cure = batch_size, allow_unseen, unseen_cure
        self.warn = warn
        self.seen = frozenset(self.model.spec.statistics.elements)
        self.named: set[int] = set()
        self.noticed = Noticed(warn, reads_tags=TAGS in self.recipe.fields)
        self.taught = Taught.of(self.provenance)
        self.rows = Rows(self.model, Domain.of(self.model, self.provenance), self.noticed)
        names = inputs_of(self.model.spec)
        self.inputs = InputFinder(names, labels, warn)
        self.labels = LabelFinder(self.quantities, [r for r in labels if r.name not in names], warn)
        self.labelled: set[str] = set()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the model predicts."""
        return self.model.spec.targets

    @property
    def calibrations(self) -> dict[str, str]:
        """How σ was calibrated, by target; ``uncalibrated`` where it was not."""
        fits = self.model.sigma_fits
        return {q.name: fits[q.name].method if q.name in fits else UNCALIBRATED for q in self.quantities}

    @property
    def recipe(self) -> GraphRecipe:
        """How graphs must be made for this model."""
        return recipe_of_model(self.model.spec)

    def predict(
        self, inputs: Sequence[str] | GraphReading, place: Place = ONE, how: ReadOptions = DEFAULTS
    ) -> Iterator[Row | Failure]:
        """Yield a row or a failure for every structure of ``inputs``, in order.

        Args:
            inputs: as typed, or their reading if it has begun.
            place: where files are read, if it has not.
            how: they are read, if it has not.

        Raises:
            UsageError: a cache whose graphs were made otherwise than the model's. EnvironmentProblem: no workers.
        """
        if not isinstance(inputs, GraphReading):
            with GraphReading(inputs, GraphWork.of(self.recipe, how), place) as begun:
                yield from self.predict(begun)
            return
        caches = {path: self._opened(path) for path in inputs.caches}
        columns = {path: self.labels.of_cache(data) for path, data in caches.items()}
        self.labelled |= {name for found in columns.values() for name in found}
        with self._evaluating() as who:
            for part in inputs.parts():
                if isinstance(part, Path):
                    items: Iterator[Known | Failure] = self._of_cache(caches[part], columns[part], inputs.ids)
                else:
                    items = map(self._known, part)
                yield from self._blocks(items, who)
        self.say_extrapolation()

    def of_entries(self, items: Iterable[Entry | Failure]) -> Iterator[Row | Failure]:
        """Predict structures as read."""
        work = GraphWork.of(self.recipe)
        make = graph_maker(work)
        with self._evaluating() as who:
            yield from self._blocks((self._known(with_graph(work, make, i)) for i in items), who)

    def of_cache(self, data: GraphDataset, index: NDArray[np.int64]) -> Iterator[Row | Failure]:
        """Predict structures ``index`` of a cache whose graphs were made as the model needs them, in order."""
        self.inputs.take_from(data)
        with self._evaluating() as who:
            yield from self._blocks(from_cache(data, index, {}), who)

    def _known(self, item: Read | Failure) -> Known | Failure:
        if isinstance(item, Failure):
            return item
        entry = item.entry
        self.noticed.read(entry)
        given = self.inputs.given(item.graph, entry)
        return Known(entry.id, entry.source, entry.atoms, given, self.labels.of(entry))

    def _of_cache(self, data: GraphDataset, columns: Mapping[str, Column], ids: Ids) -> Iterator[Known]:
        self.inputs.take_from(data)
        for first in range(0, len(data), BLOCK):
            for known in from_cache(data, np.arange(first, min(first + BLOCK, len(data))), columns):
                yield replace(known, id=ids.name(known.id))

    def _blocks(self, items: Iterator[Known | Failure], who: Executor) -> Iterator[Row | Failure]:
        waiting: deque[Known | Failure] = deque()
        sent: deque[list[Known]] = deque()

        def usable() -> Iterator[GraphBatch]:
            blocks = 0
            while block := list(islice(items, BLOCK)):
                known = [i for i in block if isinstance(i, Known)]
                if not blocks:
                    self.labelled |= {name for i in known for name in i.labels}
                blocks += 1
                self._name_unseen(known)
                waiting.extend(block)
                for batch in batches([i for i in known if not self._unseen(i)], self.batch_size):
                    sent.append(batch)
                    yield [i.graph for i in batch]

        for _, found in who.results(usable()):
            for row in self.rows.of(sent.popleft(), found):
                yield from self._passed_over(waiting)
                waiting.popleft()
                yield row
        yield from self._passed_over(waiting)

    def _passed_over(self, waiting: deque[Known | Failure]) -> Iterator[Failure]:
        """What is not predicted, up to the next structure that is."""
        while waiting and (isinstance(waiting[0], Failure) or self._unseen(waiting[0])):
            item = waiting.popleft()
            if isinstance(item, Failure):
                yield item
                continue
            unknown = ", ".join(chemical_symbols[z] for z in self._unseen(item))
            reason = f"the model has never seen {unknown}{self.unseen_cure}"
            yield Failure(item.source, item.id, "elements", "unseen-element", reason)

    @contextmanager
    def _evaluating(self) -> Iterator[Executor]:
        """Whoever evaluates: this process, or the workers of a cluster."""
        if self.place == HERE:
            task = Task(lambda _: lambda batch, _skip: iter((self.evaluate(batch),)), None, UNLIMITED)
        else:
            work = Elsewhere(self.path, sha256(self.path), self.wished_device, torch.get_num_threads(), self.latent)
            task = Task(start, work, UNLIMITED, preload=(start.__module__,), ahead=1, window=2)
        with executor(self.place, task, self.warn) as who:
            yield who

    def _unseen(self, item: Known) -> list[int]:
        return [] if self.allow_unseen else self._new_elements(item)

    def _new_elements(self, item: Known) -> list[int]:
        return [int(z) for z in np.unique(item.graph.atomic_numbers) if int(z) not in self.seen] if self.seen else []

    def _name_unseen(self, items: Sequence[Known]) -> None:
        new = {z for i in items for z in self._new_elements(i)} - self.named
        if new:
            self.named |= new
            what = "extrapolated" if self.allow_unseen else "not predicted"
            symbols = ", ".join(chemical_symbols[z] for z in sorted(new))
            self.warn(f"elements that the model has never seen: {symbols}; structures with them are {what}")

    def say_extrapolation(self) -> None:
        """Warn, once for all that was predicted, of what the model had to go without, and of what readers said."""
        self.noticed.say()
        self.inputs.say()
        self.labels.say_missing()

    def _opened(self, path: Path) -> GraphDataset:
        """A cache whose graphs were made as the model needs them."""
        data = GraphDataset.open([path])
        if not (said := data.recipe.misses(self.recipe)):
            return data
        raise UsageError(f"was not built as the model needs it: {said}; predict from the structure files", path=path)
