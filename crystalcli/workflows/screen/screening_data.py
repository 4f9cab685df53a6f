"""What a screening starts from: graphs of candidates and references, their compositions and known energies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.models.model_fields import fields_of, recipe_of_model
from crystalcli.mechanisms.models.model_spec import ModelSpec
from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.graphs.build_graphs import build
from crystalcli.workflows.graphs.build_graphs_plan import BuildPlan
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.predict.prediction_reading import is_cache

Floats = NDArray[np.float64]
PER_ATOM = ("eV/atom", "")


@dataclass(frozen=True)
class Pool:
    """Structures as the model needs them.

    Args:
        data: their graphs. index: those meant, in order.
        energy: (S,) formation energies that are known, eV/atom; NaN where not; of ``index``.
        failures: structures that could not be used.
    """

    data: GraphDataset
    index: NDArray[np.int64]
    energy: Floats
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def ids(self) -> list[str]:
        """Names, in order."""
        every = self.data.ids
        return [every[i] for i in self.index]

    def amounts(self) -> list[dict[str, float]]:
        """Composition of each, symbol → atoms."""
        counts, numbers = self.data.atom_counts(), self.data.atomic_numbers()
        stops = np.cumsum(counts)
        found = []
        for i in self.index:
            values, n = np.unique(numbers[stops[i] - counts[i] : stops[i]], return_counts=True)
            found.append({chemical_symbols[z]: float(k) for z, k in zip(values.tolist(), n.tolist(), strict=True)})
        return found

    def phases(self) -> list[Phase]:
        """Those of known energy as phases."""
        rows = zip(self.ids, self.amounts(), self.energy.tolist(), strict=True)
        return [Phase(a, e, name) for name, a, e in rows if np.isfinite(e)]


def per_atom_energy(quantity: Quantity) -> str:
    """What is odd about ``quantity`` as a formation energy per atom; a note for the user, or nothing.

    Raises:
        UsageError: it cannot be one.
    """
    if quantity.level != "structure" or quantity.classes or quantity.shape:
        raise UsageError(f"'{quantity.name}' is no energy per structure; a hull needs formation energies")
    if quantity.extensive or quantity.unit not in PER_ATOM:
        said = "a total" if quantity.extensive else f"in {quantity.unit}"
        raise UsageError(
            f"'{quantity.name}' is {said}; a hull needs eV/atom (build the graphs with --targets KEY/atom)"
        )
    return "" if quantity.unit else f"'{quantity.name}' has no unit; taken as formation energies in eV/atom"


def gathered(
    inputs: Sequence[str], spec: ModelSpec, label: str, where: Path, listener: Listener, *, required: bool
) -> Pool:
    """Graphs of ``inputs``: caches are used as they are, files are built into ``where`` as the model needs them.

    Raises:
        UsageError: caches and files mixed, a cache that was built otherwise, or ``required`` labels that are not there.
        InputError: nothing usable.
    """
    caches = [Path(p) for p in inputs if is_cache(Path(p))]
    failures: tuple[Failure, ...] = ()
    if caches and len(caches) < len(inputs):
        raise UsageError("give either graph caches or structure files, not both", path=inputs[0])
    if not caches:
        targets = (f"{spec.targets[0].name}={label}" if label else spec.targets[0].name,)
        plan = BuildPlan(tuple(inputs), where, spec.graph.name, spec.graph.options, ("none",), fields=fields_of(spec))
        try:
            report = build(replace(plan, targets=targets))
        except UsageError:
            if required:
                raise
            report = build(plan)  # candidates need no labels
        failures = report.failures
        if not report.n_structures:
            raise InputError("no structure could be used", path=inputs[0])
        caches = [where]
    data = GraphDataset.open(caches)
    _same_graphs(data, spec, caches[0])
    column = data.columns.get(label or spec.targets[0].name)
    energy = np.full(len(data), np.nan) if column is None else np.where(column.mask, column.values, np.nan)
    if required and not np.isfinite(energy).any():
        raise UsageError(f"no label '{label or spec.targets[0].name}' there", path=caches[0])
    for failure in failures:
        listener.warn(str(failure))
    return Pool(data, np.arange(len(data)), energy, failures)


def _same_graphs(data: GraphDataset, spec: ModelSpec, path: Path) -> None:
    if said := data.recipe.misses(recipe_of_model(spec)):
        raise UsageError(f"was not built as the model needs it: {said}; give the structure files", path=path)
