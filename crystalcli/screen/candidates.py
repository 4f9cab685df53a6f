"""Structures that are screened, out of files or out of caches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from ase.data import chemical_symbols

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate.batches import from_cache
from crystalcli.engine.read.reading import Failure
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.screen.hull import Amounts
from crystalcli.screen.stage_results import Structure, key_of


class Candidates(Protocol):
    """Structures that are screened, or known.

    Attributes:
        amounts: composition of each, by id, in order.
        energies: formation energies that the input has of them, eV/atom, by id.
        failures: structures that could not be read.
    """

    amounts: Mapping[str, Amounts]
    energies: Mapping[str, float]
    failures: Sequence[Failure]

    def structure(self, id: str) -> Structure:
        """One of them."""
        ...

    def key(self, ids: Sequence[str]) -> str:
        """Name of the work on some of them."""
        ...

    def predicted(self, predictor: Predictor, ids: Sequence[str]) -> Iterator[Row | Failure]:
        """What a model says of them, in order."""
        ...


class FromFiles:
    """Candidates read from structure files."""

    def __init__(
        self, structures: Sequence[Structure], energies: Mapping[str, float], failures: Sequence[Failure]
    ) -> None:
        self.structures = {s.id: s for s in structures}
        self.amounts: Mapping[str, Amounts] = {s.id: s.amounts for s in structures}
        self.energies, self.failures = energies, failures

    def structure(self, id: str) -> Structure:
        """One of them."""
        return self.structures[id]

    def key(self, ids: Sequence[str]) -> str:
        """Name of the work on some of them."""
        return key_of([self.structures[i] for i in ids])

    def predicted(self, predictor: Predictor, ids: Sequence[str]) -> Iterator[Row | Failure]:
        """What a model says of them, in order."""
        return predictor.of_entries(self.structures[i].entry() for i in ids)


class FromCaches:
    """Candidates in graph caches, whose graphs are used as they are; ``energies`` is their label, if there is one."""

    def __init__(self, data: GraphDataset, energies: Column | None) -> None:
        self.data = data
        self.failures: Sequence[Failure] = ()
        self.place = {id: k for k, id in enumerate(data.ids)}
        values = np.full(len(data), np.nan) if energies is None else np.where(energies.mask, energies.values, np.nan)
        known = zip(data.ids, values.tolist(), strict=True)
        self.energies: Mapping[str, float] = {i: e for i, e in known if np.isfinite(e)}
        self.amounts: Mapping[str, Amounts] = dict(zip(data.ids, _compositions(data), strict=True))

    def structure(self, id: str) -> Structure:
        """One of them."""
        (known,) = from_cache(self.data, self._places([id]), {})
        return Structure(id, known.atoms, known.graph.fields)

    def key(self, ids: Sequence[str]) -> str:
        """Name of the work on some of them; their graphs are those of the caches that the run was started with."""
        return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:24]

    def predicted(self, predictor: Predictor, ids: Sequence[str]) -> Iterator[Row | Failure]:
        """What a model says of them, in order; graphs that are not as it needs them are made anew."""
        if self.data.recipe.misses(predictor.recipe):
            return predictor.of_entries(self.structure(i).entry() for i in ids)
        return predictor.of_cache(self.data, self._places(ids))

    def _places(self, ids: Sequence[str]) -> np.ndarray:
        return np.array([self.place[i] for i in ids], dtype=np.int64)


def _compositions(data: GraphDataset) -> list[dict[str, float]]:
    counts, numbers = data.atom_counts(), data.atomic_numbers()
    found = []
    for part in np.split(numbers, np.cumsum(counts)[:-1]):
        values, n = np.unique(part, return_counts=True)
        found.append({chemical_symbols[z]: float(k) for z, k in zip(values.tolist(), n.tolist(), strict=True)})
    return found
