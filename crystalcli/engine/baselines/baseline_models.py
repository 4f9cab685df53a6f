"""The closed forms themselves: mean, one term per element, hat-function histograms of pair distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.modules import Baseline
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.neighbors import pairs_within

N_ELEMENTS = 119
STRANGE = 1e-9
"""Pairs per atom in a bin; less is rounding."""
MAX_FEATURES = 5000
"""Longest histogram: its normal equations take 200 MB."""


class LinearBaseline(Baseline):
    """``y = intercept + weight · x`` per atom or per crystal, times the number of atoms for a total.

    Subclasses say what x is, (S, dim) per batch.
    """

    intercept: Tensor
    weight: Tensor

    def __init__(self, dim: int, extensive: bool) -> None:
        super().__init__()
        self.extensive = extensive
        self.register_buffer("intercept", torch.zeros((), dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(dim, dtype=torch.float64))

    def options(self) -> dict[str, Any]:
        """Whether the target is a total."""
        return {"extensive": self.extensive}

    def describe(self, graph: CrystalGraph) -> Tensor:
        """Features x of every crystal, (S, dim) float64."""
        raise NotImplementedError

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Values (S,) float64 in the target's unit."""
        return self.value(graph, self.describe(graph))

    def value(self, graph: CrystalGraph, features: Tensor) -> Tensor:
        """Values (S,) of crystals whose ``features`` (S, dim) are known."""
        value = self.intercept + features @ self.weight
        return value * graph.atom_counts if self.extensive else value

    def extrapolated(self, features: Tensor) -> Tensor:
        """Whether a crystal has features that the fit never met, so that they count as nothing, (S,) bool."""
        return features.new_zeros(len(features), dtype=torch.bool)


class MeanBaseline(LinearBaseline):
    """The mean of the training labels (per atom for a total)."""

    name = "mean"

    def __init__(self, extensive: bool = False) -> None:
        super().__init__(0, extensive)

    def describe(self, graph: CrystalGraph) -> Tensor:
        """No features, (S, 0)."""
        return self.weight.new_zeros(graph.n_structures, 0)


class ElementsBaseline(LinearBaseline):
    """One weight per element times its fraction of the atoms; an element never seen counts as the mean."""

    name = "elements"

    def __init__(self, extensive: bool = False) -> None:
        super().__init__(N_ELEMENTS, extensive)

    def describe(self, graph: CrystalGraph) -> Tensor:
        """Fraction of every element, (S, 119)."""
        flat = graph.structure_index * N_ELEMENTS + graph.atomic_numbers
        counts = torch.bincount(flat, minlength=graph.n_structures * N_ELEMENTS)
        return counts.view(-1, N_ELEMENTS).double() / graph.atom_counts.double().unsqueeze(-1)


class PairsBaseline(LinearBaseline):
    """Histogram of pair distances, by unordered pair of elements, divided by the number of atoms.

    Hat functions ``max(0, 1 − |r − c_k|/step)``, every pair counted once. Finds its own neighbors: the edges of a
    nearest-neighbor graph do not reach far enough.

    Args:
        pairs: atomic numbers (a ≤ b) of the pairs counted; others are left out.
        start, stop: first and last centre, Å.
        step: spacing of the centres, Å.
        extensive: whether the target is a total.

    Raises:
        ValueError: centres that make no sense, or more than :data:`MAX_FEATURES` features.
    """

    name = "pairs"

    def __init__(
        self,
        pairs: Sequence[Sequence[int]],
        start: float = 1.4,
        stop: float = 6.0,
        step: float = 0.05,
        extensive: bool = False,
    ) -> None:
        self.pairs = [(int(a), int(b)) for a, b in pairs]
        self.start, self.stop, self.step = start, stop, step
        self.bins = round((stop - start) / step) + 1
        if not (0 < start < stop <= 30 and step > 0 and self.bins * len(self.pairs) <= MAX_FEATURES):
            raise ValueError(f"{len(self.pairs)} pairs with {self.bins} bins from {start} to {stop} Å")
        super().__init__(self.bins * len(self.pairs), extensive)
        self._code = np.full((N_ELEMENTS, N_ELEMENTS), -1, dtype=np.int64)
        for k, (a, b) in enumerate(self.pairs):
            self._code[a, b] = self._code[b, a] = k

    def options(self) -> dict[str, Any]:
        """Pairs and centres."""
        return {
            "pairs": [list(p) for p in self.pairs],
            "start": self.start,
            "stop": self.stop,
            "step": self.step,
            "extensive": self.extensive,
        }

    def describe(self, graph: CrystalGraph) -> Tensor:
        """Histograms, (S, pairs × bins)."""
        positions = graph.positions.detach().double().cpu().numpy()
        cells, pbc = graph.cell.detach().double().cpu().numpy(), graph.pbc.cpu().numpy()
        numbers = graph.atomic_numbers.cpu().numpy()
        stops = np.cumsum(graph.atom_counts.cpu().numpy())
        out = np.empty((graph.n_structures, self.weight.shape[0]))
        for s, (a, b) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            out[s] = self._histogram(ase.Atoms(numbers[a:b], positions[a:b], cell=cells[s], pbc=pbc[s]))
        return torch.as_tensor(out, device=self.weight.device)

    def extrapolated(self, features: Tensor) -> Tensor:
        """Whether a crystal has distances where training had none: there the weights are exactly zero."""
        met: Tensor = ((features > STRANGE) & (self.weight == 0.0)).any(dim=1)
        return met

    def _histogram(self, atoms: ase.Atoms) -> NDArray[np.float64]:
        centre, neighbor, lengths = pairs_within(atoms, self.stop + self.step)
        code = self._code[atoms.numbers[centre], atoms.numbers[neighbor]]
        place = (lengths - self.start) / self.step
        left = np.floor(place).astype(np.int64)
        kept = (code >= 0) & (left >= -1) & (left < self.bins)
        code, left, right_share = code[kept], left[kept], (place - left)[kept]
        # one column of padding on each side takes the halves of hats beyond the first and last centre
        width = self.bins + 2
        flat = code * width + left + 1
        size = width * len(self.pairs)
        table = np.bincount(flat, 1.0 - right_share, size) + np.bincount(flat + 1, right_share, size)
        return np.asarray(table.reshape(-1, width)[:, 1:-1].ravel() * (0.5 / len(atoms)), dtype=np.float64)
