"""How far a structure lies from what a model was trained on, in the space in which the model sees it.

Mean over the atoms of what the architecture made of them, one vector per structure, in standard deviations of the
training structures; the distance to the nearest of them against those of structures that were held out. J. P. Janet et
al., Chem. Sci. 10, 7913 (2019), doi:10.1039/C9SC02298H.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from crystalcli.contracts.modules import Embedding
from crystalcli.nouns.graph import CrystalGraph, mean_per_structure

LANDMARKS = 2000
"""Training structures kept; of more an even choice. With 250 the distance says little."""
USUAL = 0.99
"""Share of the held-out structures that are not called unfamiliar."""
SILENT = 1e-3
"""Components that vary less than this beside the largest do not count; distances below it are rounding."""
PREFIX = "familiarity."


def structure_vectors(graph: CrystalGraph, embedding: Embedding) -> Tensor:
    """Mean over the atoms of each structure of what no rotation changes, (S, F₀) float32."""
    return mean_per_structure(graph, embedding.scalars).float()


@dataclass(frozen=True)
class OutOfDomain:
    """What training structures look like to a model.

    Args:
        landmarks: (n, F) float16 vectors from ``centre``, in units of ``scale``. centre, scale: (F,) float32; a scale
            of 0 is of a component that does not count, because it is the same for all.
        limit: (1,) float32, distance that 99 % of the held-out structures do not reach.
    """

    landmarks: Tensor
    centre: Tensor
    scale: Tensor
    limit: Tensor

    @classmethod
    def learned(cls, taught: Tensor, held_out: Tensor) -> OutOfDomain:
        """From the vectors of training structures (n ≥ 2, F) and of others (m, F).

        Without others the distances are those of every training structure to the nearest of the rest.
        """
        scale = taught.std(0, correction=0)
        scale = torch.where(scale > SILENT * scale.max(), scale, torch.zeros_like(scale))
        made = cls(taught.new_zeros(0), taught.mean(0), scale, taught.new_ones(1))
        landmarks = made._scaled(taught).half()
        if len(held_out):
            distances = _nearest(made._scaled(held_out), landmarks.float())
        else:
            distances = _nearest(landmarks.float(), landmarks.float(), itself=True)
        limit = torch.quantile(distances.double(), USUAL).float().clamp_min(SILENT)
        return replace(made, landmarks=landmarks, limit=limit.reshape(1))

    def domain_distance(self, graph: CrystalGraph, embedding: Embedding) -> Tensor:
        """Distance of each structure to the nearest landmark over the limit, (S,); above 1 unlike training."""
        vectors = self._scaled(structure_vectors(graph, embedding).cpu())
        return _nearest(vectors, self.landmarks.float()) / self.limit

    def _scaled(self, vectors: Tensor) -> Tensor:
        counts = self.scale > 0.0
        return (vectors - self.centre)[:, counts] / self.scale[counts]

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a model file; the inverse of :meth:`of_tensors`."""
        return {f"{PREFIX}{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of_tensors(cls, found: Mapping[str, Tensor]) -> OutOfDomain:
        """From what :meth:`tensors` gave.

        Raises:
            ValueError: shapes or numbers that cannot be.
        """
        made = cls(*(found[f"{PREFIX}{f.name}"] for f in fields(cls)))
        fit = made.scale.dim() == 1 and made.scale.shape == made.centre.shape and made.limit.shape == (1,)
        fit = fit and made.landmarks.dim() == 2 and made.landmarks.shape[1] == int((made.scale > 0.0).sum())
        whole = all(bool(torch.isfinite(t).all()) for t in made.tensors().values())
        if not fit or not whole or not len(made.landmarks) or float(made.limit) <= 0.0:
            raise ValueError("what it keeps of its training structures cannot be")
        return made


def _nearest(vectors: Tensor, among: Tensor, *, itself: bool = False) -> Tensor:
    """Distance of each of (m, F) to the nearest of (n, F), (m,); ``itself``: row k is not compared with row k."""
    found = torch.cdist(vectors, among, compute_mode="donot_use_mm_for_euclid_dist")
    if itself:
        found.fill_diagonal_(torch.inf)
    return found.amin(1)
