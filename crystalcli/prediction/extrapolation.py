"""Why a prediction is an extrapolation: what the structure has, or what the model says, that training never had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from crystalcli.engine.model.model import of_one_size
from crystalcli.engine.model.model_file import AnyModel

BEYOND = 1.001
"""Of a usual distance or spread: one that defines it is at 1, where rounding in another batch would decide."""
FAR = 3.0
"""A value this many σ outside the labels of the training is flagged."""


@dataclass(frozen=True)
class Said:
    """What a model says of one target of one structure, totals per atom: value, σ and its part σ_e."""

    value: float
    sigma: float = 0.0
    epistemic: float = 0.0


@dataclass(frozen=True)
class Domain:
    """Within which a model was taught.

    Args:
        elements: atomic numbers of its training.
        limits: by target ``low`` and ``high`` of the labels, and ``epistemic``, the spread of members that 99 % of the
            test structures do not reach.
        factors: by target, what σ was multiplied with since.
        measured: whether it knows what its training structures looked like.
        atoms: of every structure of its training, by target whose values hold for structures of that size alone.
    """

    elements: frozenset[int]
    limits: Mapping[str, Mapping[str, float]]
    factors: Mapping[str, float]
    measured: bool
    atoms: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, model: AnyModel, provenance: Mapping[str, Any]) -> Domain:
        """That of ``model``, as far as its file tells."""
        limits = {name: known for name, known in provenance.get("domain", {}).items() if known}
        factors = {name: fit.factor for name, fit in model.sigma_fits.items()}
        seen = frozenset(model.spec.statistics.elements)
        size = model.spec.statistics.atoms
        atoms = {q.name: size for q in of_one_size(model)} if size else {}
        return cls(seen, limits, factors, model.out_of_domain is not None, atoms)

    @property
    def is_known(self) -> bool:
        """Whether there is more to say than which elements are new."""
        return self.measured or bool(self.limits) or bool(self.atoms)

    def reasons(self, numbers: Iterable[int], said: Mapping[str, Said], domain_distance: float | None) -> str:
        """Why this is an extrapolation, in words; empty if nothing speaks for it.

        Args:
            numbers: atomic numbers of the structure.
            said: by target.
            domain_distance: see :class:`crystalcli.engine.model.out_of_domain.OutOfDomain`; none if not known.
        """
        numbers = [int(z) for z in numbers]
        new = sorted(set(numbers) - self.elements) if self.elements else []
        found = ["elements never seen: " + ", ".join(chemical_symbols[z] for z in new)] if new else []
        if domain_distance is not None and domain_distance > BEYOND:
            found.append(f"unlike any structure of the training ({domain_distance:.1f} times the usual distance)")
        for name, size in self.atoms.items():
            if len(numbers) != size:
                found.append(f"{name} is learned of structures with {size} atoms alone, and this has {len(numbers)}")
        for name, one in said.items():
            found += self._of_target(name, one)
        return "; ".join(dict.fromkeys(found))

    def _of_target(self, name: str, said: Said) -> list[str]:
        limits = self.limits.get(name)
        if limits is None:
            return []
        found, reach = [], FAR * said.sigma
        if not limits["low"] - reach <= said.value <= limits["high"] + reach:
            found.append(f"{name} outside that of training")
        if said.epistemic > BEYOND * self.factors.get(name, 1.0) * limits.get("epistemic", np.inf):
            found.append("members disagree more than on test structures")
        return found
