"""Model + structures → values, in input order, a block of structures at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import ase
import h5py
import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.contracts.modules import Prediction
from crystalcli.contracts.records import Featurizer
from crystalcli.mechanisms import model_file, reading
from crystalcli.mechanisms.cache import FORMAT, GraphCache, GraphRecipe
from crystalcli.mechanisms.dataset import GraphDataset
from crystalcli.mechanisms.inputs import expand
from crystalcli.mechanisms.label_requests import LabelRequest
from crystalcli.mechanisms.model import CrystalModel
from crystalcli.mechanisms.plugin_manager import registry
from crystalcli.mechanisms.reading import Failure
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import CrystalError, InputError, UsageError, one_line
from crystalcli.vocabulary.quantities import Quantity

BLOCK = 1024
"""Structures looked at together: their elements are named before any of them is predicted."""
MOST_EDGES = 400_000
"""A batch is closed when its graphs have this many edges, however few they are."""


@dataclass(frozen=True)
class Row:
    """Prediction for one structure.

    Args:
        id, source: which structure.
        atoms: the structure.
        values: by target: a number, (n_atoms,) numbers, or (C,) probabilities.
        sigmas: by target, where the model gives them.
        labels: by target, where the input has them.
    """

    id: str
    source: str
    atoms: ase.Atoms
    values: Mapping[str, Any]
    sigmas: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Known:
    """One structure ready for the model."""

    id: str
    source: str
    atoms: ase.Atoms
    graph: GraphArrays
    labels: Mapping[str, Any]


class Predictor:
    """A loaded model with all that is needed to predict structures.

    Args:
        path: model file, or the folder of the run that made it.
        device: as for ``torch.device``.
        batch_size: structures in a batch, at most.
        allow_unseen: predict structures with elements that training never saw, too.
        labels: where to find labels in the inputs, by :class:`LabelRequest`; default the targets' own names.
        warn: told of what a careful user wants to know.

    Raises:
        InputError, UsageError, UnsafeInput: no model there, or none that can be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
        allow_unseen: bool = False,
        labels: Sequence[LabelRequest] = (),
        warn: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.path = path / "model.safetensors" if path.is_dir() else path
        if not self.path.exists():
            raise UsageError("no such model", path=self.path)
        self.model, self.provenance = model_file.load(self.path)
        self.model.to(device)
        self.device, self.batch_size, self.allow_unseen = torch.device(device), batch_size, allow_unseen
        self.requests, self.warn = labels, warn
        self.seen = frozenset(self.model.spec.statistics.elements)
        self.named: set[int] = set()
        _check_requests(labels, self.quantities)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What the model predicts."""
        return self.model.spec.targets

    @property
    def recipe(self) -> GraphRecipe:
        """How graphs must be made for this model."""
        return GraphRecipe(self.model.spec.graph.name, self.model.spec.graph.options)

    def predict(self, inputs: Sequence[str]) -> Iterator[Row | Failure]:
        """Yield a row or a failure for every structure of ``inputs``, in order.

        Raises:
            UsageError: a cache whose graphs were made otherwise than the model's.
        """
        paths = expand(inputs)
        caches = {p for p in paths if is_cache(p)}
        for path in caches:
            self._refuse_other_recipe(path)
        files = [p for p in paths if p not in caches]
        names, ids = reading.plan(files).names, reading.Ids()
        for path in paths:
            if path in caches:
                yield from self._of_cache(path)
            else:
                items = reading.read_file(path, names[path])
                yield from self.of_entries(ids.keep_apart(i) if isinstance(i, Entry) else i for i in items)

    def of_entries(self, items: Iterable[Entry | Failure]) -> Iterator[Row | Failure]:
        """Predict structures as read."""
        featurizer = cast(Featurizer, registry().get("featurizer", self.model.spec.graph.name))
        options: Any = opt.make(
            featurizer.options, self.model.spec.graph.options, owner=f"featurizer {featurizer.name}"
        )
        build = featurizer.build(options)

        def ready(item: Entry | Failure) -> _Known | Failure:
            if isinstance(item, Failure):
                return item
            try:
                graph = build(item.atoms)
            except CrystalError as problem:
                return Failure(item.source, item.id, "graph", problem.code or "graph", one_line(problem.reason))
            return _Known(item.id, item.source, item.atoms, graph, self._labels(item))

        yield from self._blocks(ready(i) for i in items)

    def _of_cache(self, path: Path) -> Iterator[Row | Failure]:
        data = GraphDataset.open([path])
        columns = {q.name: data.columns[q.name] for q in self.quantities if q.name in data.columns}
        for q in self.quantities:
            if q.name in columns and columns[q.name].quantity.unit != q.unit:
                self.warn(
                    f"{path}: label '{q.name}' is in '{columns[q.name].quantity.unit}', the model's in '{q.unit}'"
                )
                del columns[q.name]
        yield from self._blocks(
            item
            for start in range(0, len(data), BLOCK)
            for item in _from_cache(data, np.arange(start, min(start + BLOCK, len(data))), list(columns))
        )

    def _blocks(self, items: Iterator[_Known | Failure]) -> Iterator[Row | Failure]:
        while block := list(islice(items, BLOCK)):
            self._name_unseen([i for i in block if isinstance(i, _Known)])
            done = self._predicted([i for i in block if isinstance(i, _Known) and not self._unseen(i)])
            for item in block:
                if isinstance(item, Failure):
                    yield item
                elif self._unseen(item):
                    unknown = ", ".join(chemical_symbols[z] for z in self._unseen(item))
                    reason = f"the model has never seen {unknown}; --allow-unseen-elements predicts nevertheless"
                    yield Failure(item.source, item.id, "elements", "unseen-element", reason)
                else:
                    yield next(done)

    def _unseen(self, item: _Known) -> list[int]:
        return [] if self.allow_unseen else self._new_elements(item)

    def _new_elements(self, item: _Known) -> list[int]:
        return [int(z) for z in np.unique(item.graph.atomic_numbers) if int(z) not in self.seen] if self.seen else []

    def _name_unseen(self, items: Sequence[_Known]) -> None:
        new = {z for i in items for z in self._new_elements(i)} - self.named
        if new:
            self.named |= new
            what = "extrapolated" if self.allow_unseen else "not predicted"
            symbols = ", ".join(chemical_symbols[z] for z in sorted(new))
            self.warn(f"elements that the model has never seen: {symbols}; structures with them are {what}")

    def _predicted(self, items: Sequence[_Known]) -> Iterator[Row | Failure]:
        for batch in _batches(items, self.batch_size):
            yield from self._batch(batch)

    @torch.no_grad()
    def _batch(self, items: Sequence[_Known]) -> Iterator[Row | Failure]:
        graph: CrystalGraph = collate([i.graph for i in items]).to(self.device)
        predictions = {n: _pieces(p, graph) for n, p in self.model(graph).items()}
        for k, item in enumerate(items):
            values = {n: v[k] for n, (v, _) in predictions.items()}
            bad = [n for n, v in values.items() if not np.isfinite(v).all()]
            if bad:
                yield Failure(item.source, item.id, "predict", "not-finite", f"the predicted {bad[0]} is not a number")
            else:
                sigmas = {n: s[k] for n, (_, s) in predictions.items() if s is not None}
                yield Row(item.id, item.source, item.atoms, values, sigmas, item.labels)

    def _labels(self, entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for q in self.quantities:
            for key, scaling in _places(q.name, self.requests):
                if key in entry.labels and q.level == "structure" and np.ndim(entry.labels[key]) == 0:
                    value = float(entry.labels[key])
                    n = len(entry.atoms)
                    found[q.name] = value / n if scaling == "/atom" else value * n if scaling == "*atoms" else value
                    break
                if (
                    key in entry.labels
                    and q.level == "site"
                    and len(np.atleast_1d(entry.labels[key])) == len(entry.atoms)
                ):
                    found[q.name] = np.asarray(entry.labels[key], dtype=np.float64)
                    break
        return found

    def _refuse_other_recipe(self, path: Path) -> None:
        other = GraphCache(path).recipe
        mine = self.recipe
        if other.fingerprint == mine.fingerprint:
            return
        said = other.difference(mine) or "another version"
        raise UsageError(f"was not built as the model needs it: {said}; predict from the structure files", path=path)


def is_cache(path: Path) -> bool:
    """Whether ``path`` is a graph cache (and not some other HDF5 file)."""
    if path.suffix.lower() not in (".h5", ".hdf5") or not path.is_file():
        return False
    try:
        with h5py.File(path, "r") as h:
            return bool(h.attrs.get("format") == FORMAT)
    except OSError:
        return False


def _check_requests(requests: Sequence[LabelRequest], quantities: Sequence[Quantity]) -> None:
    names = [q.name for q in quantities]
    for r in requests:
        if r.name not in names:
            raise UsageError(
                f"the model predicts {', '.join(names)}, not '{r.name}'; write --labels {names[0]}={r.key}"
            )


def _places(name: str, requests: Sequence[LabelRequest]) -> list[tuple[str, str]]:
    """Keys under which files may have the target ``name``, and what to do with the number found."""
    asked = [(r.key, r.scaling) for r in requests if r.name == name]
    if asked:
        return [(k, str(s)) for k, s in asked]
    found = [(name, "")]
    if name.endswith("_per_atom"):
        found.append((name.removesuffix("_per_atom"), "/atom"))
    if name.endswith("_total"):
        found.append((name.removesuffix("_total"), "*atoms"))
    return found


def _from_cache(data: GraphDataset, index: NDArray[np.int64], columns: Sequence[str]) -> Iterator[_Known]:
    """Structures of a cache as they would come from files."""
    batch = data.batch(index, columns, dtype=torch.float64)
    g = batch.graph
    atoms = np.concatenate([[0], np.cumsum(g.atom_counts.numpy())])
    edges = g.row_pointers.numpy()[atoms]
    sources = data.sources
    for k, i in enumerate(index.tolist()):
        a, b, e, f = atoms[k], atoms[k + 1], edges[k], edges[k + 1]
        graph = GraphArrays(
            positions=g.positions.numpy()[a:b],
            cell=g.cell.numpy()[k],
            pbc=g.pbc.numpy()[k],
            atomic_numbers=g.atomic_numbers.numpy()[a:b],
            edge_index=g.edge_index.numpy()[:, e:f] - a,
            cell_shifts=g.cell_shifts.numpy()[e:f].astype(np.int64),
        )
        made = ase.Atoms(graph.atomic_numbers, graph.positions, cell=graph.cell, pbc=graph.pbc)
        labels = {}
        for name in columns:
            label = batch.labels[name]
            span = slice(a, b) if data.columns[name].quantity.level == "site" else slice(k, k + 1)
            if bool(label.mask[span].all()):
                value = label.value[span].numpy()
                labels[name] = value if data.columns[name].quantity.level == "site" else float(value[0])
        yield _Known(data.ids[i], sources[i], made, graph, labels)


def _batches(items: Sequence[_Known], size: int) -> Iterator[list[_Known]]:
    """Cut into batches of at most ``size`` structures and about :data:`MOST_EDGES` edges."""
    batch: list[_Known] = []
    edges = 0
    for item in items:
        if batch and (len(batch) == size or edges + item.graph.n_edges > MOST_EDGES):
            yield batch
            batch, edges = [], 0
        batch.append(item)
        edges += item.graph.n_edges
    if batch:
        yield batch


def _pieces(prediction: Prediction, graph: CrystalGraph) -> tuple[list[Any], list[Any] | None]:
    """Values (and sigmas) of every structure."""

    def cut(t: torch.Tensor) -> list[Any]:
        array = t.cpu().numpy().astype(np.float64)
        if prediction.quantity.level == "site":
            return np.split(array, np.cumsum(graph.atom_counts.cpu().numpy())[:-1])
        return list(array)

    return cut(prediction.value), None if prediction.sigma is None else cut(prediction.sigma)


def load_model(path: str | Path) -> CrystalModel:
    """The model of a file or run folder, in evaluation mode.

    Raises:
        InputError: no crystal model there.
    """
    where = Path(path)
    return model_file.load(where / "model.safetensors" if where.is_dir() else where)[0]


def predict_atoms(path: str | Path, structures: Iterable[ase.Atoms]) -> list[dict[str, Any]]:
    """Predict structures that are in memory: for each the values by target.

    Raises:
        InputError: a structure that cannot be predicted.
    """
    predictor = Predictor(Path(path))
    found = []
    for item in predictor.of_entries(Entry(str(k), atoms, str(k)) for k, atoms in enumerate(structures)):
        if isinstance(item, Failure):
            raise InputError(f"structure {item.id}: {item.reason}")
        found.append(dict(item.values))
    return found
