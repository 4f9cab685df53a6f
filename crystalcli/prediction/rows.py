"""What is said of each structure: values with their uncertainties, labels, and why it may be an extrapolation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_packing import structure_hash
from crystalcli.engine.evaluate.batches import Known
from crystalcli.engine.evaluate.evaluator import EvaluatedBatch
from crystalcli.engine.model.derivatives import PER_VOLUME
from crystalcli.engine.model.model_file import AnyModel
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.run.tasks import Lost
from crystalcli.nouns.structures.site_fields import held_atoms
from crystalcli.prediction.extrapolation import Domain, Said
from crystalcli.prediction.noticed import Noticed


@dataclass(frozen=True)
class Row:
    """Prediction for one structure.

    Args:
        id, source: which structure.
        atoms: the structure.
        values: by target: a number, numbers of the quantity's shape, (n_atoms, …) numbers, or (C,) probabilities; NaN
            for the stress or pressure of atoms without a volume.
        uncertainties: by target, where the model gives them: ``sigma`` and of an ensemble its parts ``sigma_a`` (noise)
            and ``sigma_e`` (spread of the members), ends of intervals (``low_90``, ``high_90``) of a model that was
            calibrated so; each like a value.
        labels: by target, where the input has them: a number (of a class, too), numbers of the quantity's shape, or
            (n_atoms, …) numbers with NaN where one is missing.
        latent: (n_atoms, H) vectors of the sites, where asked for.
        extrapolating: why the prediction is an extrapolation; empty if nothing speaks for it.
        members: of an ensemble, by target that is one number per structure: (M,) what each member says.
        fields: per-site fields that the model was given, by name: (n_atoms,) or (n_atoms, width).
        crystal: hash of the structure, as in a cache.
    """

    id: str
    source: str
    atoms: ase.Atoms
    values: Mapping[str, Any]
    uncertainties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    latent: NDArray[np.float32] | None = None
    extrapolating: str = ""
    members: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    fields: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    crystal: bytes = b""


class Rows:
    """Makes the rows of a batch of what a model said of it.

    Args:
        model: that said it. domain: within which it was taught. noticed: is told what is an extrapolation.
    """

    def __init__(self, model: AnyModel, domain: Domain, noticed: Noticed) -> None:
        self.quantities, self.domain, self.noticed = model.spec.targets, domain, noticed
        self.differentiable = model.differentiable

    def of(self, items: Sequence[Known], found: EvaluatedBatch | Lost) -> Iterator[Row | Failure]:
        """Those of ``items``, in order; a structure of which nothing can be said is a failure."""
        if isinstance(found, Lost):
            yield from (Failure(i.source, i.id, "predict", "worker-died", found.reason) for i in items)
            return
        self.noticed.unseen_distances += found.unseen_distances
        for k, item in enumerate(items):
            values = {n: v[k] for n, v in found.values.items()}
            empty = PER_VOLUME if self.differentiable and item.atoms.cell.rank < 3 else ()
            bad = [n for n, v in values.items() if n not in empty and not np.isfinite(v).all()]
            if bad:
                yield Failure(item.source, item.id, "predict", "not-finite", f"the predicted {bad[0]} is not a number")
            else:
                spreads = {n: {w: u[k] for w, u in known.items()} for n, known in found.spreads.items()}
                said = self._said(item, values, spreads)
                why = self.domain.reasons(item.atoms.numbers, said, found.domain_distance[k])
                if why:
                    self.noticed.extrapolation(item.atoms)
                members = {n: said_by[k] for n, said_by in found.members.items()}
                latent = found.vectors[k]
                labels, g = item.labels, item.graph
                crystal = structure_hash(g.atomic_numbers, g.positions, g.cell, g.pbc)
                self._hold(item, values, spreads)
                more = latent, why, members, g.fields, crystal
                yield Row(item.id, item.source, item.atoms, values, spreads, labels, *more)

    def _hold(self, item: Known, values: dict[str, Any], spreads: Mapping[str, dict[str, Any]]) -> None:
        """Held atoms are where they are, to the last bit, and there is no σ of that."""
        held = list(held_atoms(item.atoms))
        for q in (q for q in self.quantities if held and q.meaning == "position"):
            values[q.name] = np.array(values[q.name], dtype=np.float64)
            values[q.name][held] = item.atoms.positions[held]
            for word, spread in spreads.get(q.name, {}).items():
                spreads[q.name][word] = np.array(spread, dtype=np.float64)
                spreads[q.name][word][held] = 0.0 if word.startswith("sigma") else item.atoms.positions[held]

    def _said(
        self, item: Known, values: Mapping[str, Any], spreads: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Said]:
        """Value, σ and σ_e of every target that is one number per structure, totals per atom."""
        found = {}
        for q in self.quantities:
            if q.level == "structure" and not q.classes and not q.shape:
                size, known = len(item.atoms) if q.extensive else 1, spreads.get(q.name, {})
                numbers = (values[q.name], known.get("sigma", 0.0), known.get("sigma_e", 0.0))
                found[q.name] = Said(*(float(v) / size for v in numbers))
        return found
