"""What a model said, when it was saved, of a few small crystals: whoever loads it asks again.

Weights alone are no model. They mean something together with all that they are multiplied with, and what is worked
out anew when a model is built can come out otherwise with another processor, number of threads or version of a
library. Both answers are in double precision, in which rounding is far below the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any

import ase
import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_fields import fields_of
from crystalcli.engine.model.model_parts import parts
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.registry.graph_builders import graph_builder
from crystalcli.engine.run.checkpoint import under
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.structures.site_fields import SiteField

AnyModel = CrystalModel | Ensemble
Floats = NDArray[np.float64]

WITNESS_ELEMENTS = 12
"""Elements asked about; of more an even choice."""
WITNESS_ATOMS = 4
"""Of each crystal, at most."""
WITNESS_DISTANCES = (0.9, 1.0, 1.15)
"""Shortest distance of each crystal, of the shortest in training or the sum of the covalent radii: once near enough
for what holds atoms apart."""
WITNESS_EDGES = 3000
"""Of all crystals after the first, so that a large cutoff costs no more."""
UNSAID = (8, 14, 29)
"""Elements of a model that does not know which it has seen."""

_CELL = np.array([[1.0, 0.07, -0.05], [0.11, 1.08, 0.04], [-0.03, 0.09, 0.93]])
_PLACES = np.array([[0.03, 0.07, 0.11], [0.52, 0.47, 0.08], [0.45, 0.09, 0.56], [0.08, 0.55, 0.49]])

PREFIX = "proof."
TOLERANCE = 1e-6
"""Largest difference, of the range of a quantity (of the crystals, or in training). A constant that a part works out
anew in single precision may differ by 1e-7; the bases of an eigendecomposition made a difference of 1e-2 and more."""
ROUNDING = 1e-10
"""Added to it, of the largest value. Measured between one, two and four threads, instruction sets from SSE2 to AVX-512
and MKL's ways of counting: 1e-15."""
LEAST = 1e-3
"""Range (eV, eV/Å, eV/Å³) of energies, forces and stress that are no targets, at least."""
PLAIN = ("value", "derived")
"""Words that need not be said."""
MOST_ATOMS, MOST_EDGES = 10_000, 1_000_000
"""More is no proof of ours."""
_ARRAYS = ("positions", "cell", "pbc", "atomic_numbers", "edge_index", "cell_shifts", "atom_counts")


def made_up(spec: ModelSpec) -> CrystalGraph:
    """Up to three crystals of elements that a model of ``spec`` has seen, with its edges; float64."""
    featurizer, _, head = parts(spec)
    chosen: Any = opt.make(featurizer.options, spec.graph.options, owner=f"featurizer {featurizer.name}")
    build = graph_builder(featurizer, chosen)
    names = head.inputs(opt.make(head.options, spec.head.options, owner=f"head {head.name}"))
    wanted = [SiteField.parse(f) for f in fields_of(spec)]
    found: list[Any] = []
    for atoms in crystals(spec.statistics.elements or UNSAID, spec.statistics.shortest):
        graph = build(atoms)
        if found and sum(g.n_edges for g in found) + graph.n_edges > WITNESS_EDGES:
            break
        given: dict[str, Floats] = {n: np.ones(graph.n_atoms) for n in names if n not in graph.fields}
        for k, f in enumerate(wanted):  # 0 and 1 in turn: what is fixed and what is free
            rows: Floats = np.where((np.arange(graph.n_atoms) + k) % 2 == 1, 1.0, 0.0)
            given[f.name] = rows if f.width == 1 else np.repeat(rows[:, None], f.width, axis=1)
        found.append(replace(graph, fields={**graph.fields, **given}))
    return collate(found, torch.float64)


def crystals(elements: Sequence[int], shortest: Sequence[tuple[int, int, float]] = ()) -> list[ase.Atoms]:
    """Crystals of three or four atoms, periodic, no two distances alike; one after the other less dense.

    They are no materials: whoever asks twice only wants the same answer.

    Args:
        elements: atomic numbers.
        shortest: (Z, Z', Å) of the training, as far as it is known.
    """
    places = np.linspace(0, len(elements) - 1, min(len(elements), WITNESS_ELEMENTS)).round().astype(int)
    kinds = [elements[k] for k in places]
    groups = [kinds[k : k + WITNESS_ATOMS] for k in range(0, len(kinds), WITNESS_ATOMS)]
    if len(groups) == 1:
        groups.append(kinds[::-1])
    near = covalent_radii[:, None] + covalent_radii
    for a, b, distance in shortest:
        near[a, b] = near[b, a] = distance
    return [_crystal(g, share, near) for g, share in zip(groups, WITNESS_DISTANCES, strict=False)]


def _crystal(kinds: Sequence[int], share: float, near: Floats) -> ase.Atoms:
    numbers = np.array([kinds[k % len(kinds)] for k in range(max(3, len(kinds)))])
    fractional = _PLACES[: len(numbers)]
    images = np.array(list(product((-1, 0, 1), repeat=3)))
    lengths = np.linalg.norm((fractional[:, None, None] - fractional[None, :, None] + images) @ _CELL, axis=3)
    shares = lengths / near[numbers[:, None], numbers][:, :, None]
    size = share / shares[shares > 0.0].min()
    return ase.Atoms(numbers, scaled_positions=fractional, cell=size * _CELL, pbc=True)


@dataclass(frozen=True)
class Difference:
    """The worst difference between two answers: of which quantity, how large, and in shares of what is allowed."""

    quantity: str
    size: float
    share: float


@dataclass(frozen=True)
class Proof:
    """Crystals and answers.

    Args:
        graph: the crystals, float64.
        said: values by quantity and word (``energy.value``, ``energy.sigma``), float64.
    """

    graph: CrystalGraph
    said: Mapping[str, Tensor]

    @classmethod
    def of(cls, model: AnyModel) -> Proof:
        """Ask ``model`` about its witnesses."""
        graph = model.witnesses or made_up(model.spec)
        return cls(graph, answers(model, graph))

    def difference(self, model: AnyModel) -> Difference | None:
        """The worst difference of what ``model`` says now; none where all is rounding.

        Raises:
            ValueError: it speaks of other quantities.
        """
        found = answers(model, self.graph)
        # ensembles of before said 0 of a noise that nobody knows
        known = {k: v for k, v in self.said.items() if k in found or not k.endswith(".noise") or v.any()}
        if {k: v.shape for k, v in found.items()} != {k: v.shape for k, v in known.items()}:
            raise ValueError("its proof is of other quantities")
        worst = Difference("", 0.0, 0.0)
        for name, then in known.items():
            quantity, word = name.split(".", 1)
            size = _largest(torch.where(_same(found[name], then), 0.0, found[name] - then))
            share = size / _allowed(model, quantity, then)
            if share > worst.share:
                worst = Difference(quantity if word in PLAIN else f"{word} of {quantity}", size, share)
        return worst if worst.share > 1.0 else None

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a file; the inverse of :meth:`of_tensors`."""
        found = {f"graph.{name}": getattr(self.graph, name) for name in _ARRAYS}
        found |= {f"field.{name}": value for name, value in self.graph.fields.items()}
        found |= {f"said.{name}": value for name, value in self.said.items()}
        return {PREFIX + name: value.cpu().clone() for name, value in found.items()}

    @classmethod
    def of_tensors(cls, found: Mapping[str, Tensor]) -> Proof:
        """From what :meth:`tensors` gave.

        Raises:
            KeyError, ValueError: arrays that are missing or cannot be.
        """
        arrays = {name: found[f"{PREFIX}graph.{name}"] for name in _ARRAYS}
        fields, said = (under(f"{PREFIX}{word}", found) for word in ("field", "said"))
        if len(arrays) + len(fields) + len(said) != len(found) or not said:
            raise ValueError("its proof cannot be")
        if not all(v.dtype == torch.float64 for v in said.values()):
            raise ValueError("its proof is not in double precision")
        return cls(_graph(arrays, fields), said)


def answers(model: AnyModel, graph: CrystalGraph) -> dict[str, Tensor]:
    """All that ``model`` says of ``graph``, in float64; where it has energies also forces and stress.

    The model comes back as it was.
    """
    graph = graph.to(next(chain(model.parameters(), model.buffers())).device)
    modes = [(m, m.training) for m in model.modules()] if model.training else []
    try:
        if modes:
            model.eval()
        with in_double(model), torch.no_grad():
            predictions, derived = model.everything(graph)
    finally:
        for module, training in modes:
            module.training = training
    found = {f"{name}.derived": value for name, value in derived.items()}
    for name, p in predictions.items():
        words = {"value": p.value, "sigma": p.sigma, "noise": p.aleatoric, "spread": p.epistemic}
        words |= {f"half width {level}": width for level, width in p.half_widths.items()}
        found |= {f"{name}.{word}": value for word, value in words.items() if value is not None}
    return {name: value.detach().double().cpu() for name, value in found.items()}


@contextmanager
def in_double(model: nn.Module) -> Iterator[None]:
    """Let all floating numbers of ``model`` be double for a while; the tensors themselves come back after it."""
    kept = [(t, t.data) for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()]
    try:
        for tensor, data in kept:
            tensor.data = data.double()
        yield
    finally:
        for tensor, data in kept:
            tensor.data = data


def _allowed(model: AnyModel, quantity: str, then: Tensor) -> float:
    """How much a value of ``quantity`` may differ."""
    target = any(quantity == q.name for q in model.spec.targets)
    scale = model.spec.statistics.target_scale.get(quantity, 1.0 if target else LEAST)
    known = then[then.isfinite()]
    return TOLERANCE * max(scale, _largest(known - known.mean())) + ROUNDING * _largest(known)


def _same(a: Tensor, b: Tensor) -> Tensor:
    return (a == b) | (a.isnan() & b.isnan())


def _largest(values: Tensor) -> float:
    """Largest size of a value, infinite if one is not a number; 0 of none."""
    return float(values.abs().nan_to_num(torch.inf, torch.inf).max()) if values.numel() else 0.0


def _graph(arrays: Mapping[str, Tensor], fields: Mapping[str, Tensor]) -> CrystalGraph:
    """The batch of these arrays.

    Raises:
        ValueError: they make none.
    """
    counts, numbers, edges = (arrays[name] for name in ("atom_counts", "atomic_numbers", "edge_index"))
    s, n, e = len(counts), len(numbers), edges.shape[-1]
    shapes = {"positions": (n, 3), "cell": (s, 3, 3), "pbc": (s, 3), "edge_index": (2, e), "cell_shifts": (e, 3)}
    fit = all(tuple(arrays[name].shape) == shape for name, shape in shapes.items())
    fit = fit and counts.dim() == numbers.dim() == 1 and all(len(f) == n for f in fields.values())
    fit = fit and not any(t.is_floating_point() for t in (counts, numbers, edges))
    if not fit or not 0 < n <= MOST_ATOMS or e > MOST_EDGES:
        raise ValueError("the crystals of its proof cannot be")
    if int(counts.min()) < 1 or int(counts.max()) > n or int(counts.sum()) != n:
        raise ValueError("the crystals of its proof cannot be")
    known = int(numbers.min()) >= 1 and int(numbers.max()) <= 118
    inside = not e or (int(edges.min()) >= 0 and int(edges.max()) < n and bool((edges[0].diff() >= 0).all()))
    floats = [arrays[name] for name in ("positions", "cell", "cell_shifts")] + list(fields.values())
    if not known or not inside or not all(bool(t.isfinite().all()) for t in floats):
        raise ValueError("the crystals of its proof cannot be")
    degree = torch.bincount(edges[0], minlength=n)
    return CrystalGraph(
        **arrays,
        row_pointers=torch.cat([degree.new_zeros(1), degree.cumsum(0)]),
        structure_index=torch.repeat_interleave(torch.arange(s), counts),
        fields=dict(sorted(fields.items())),
    )
