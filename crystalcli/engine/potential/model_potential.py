"""A trained model as a potential: of structures that move, or frozen at the structures of a batch as they are first."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble, mean_and_spread
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_fields import fields_of
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.model_parts import parts
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.model.surface import Surface
from crystalcli.engine.potential.moving_graph import SKIN, MovingGraph
from crystalcli.engine.registry.graph_builders import graph_builder
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.structures.site_fields import SiteField
from crystalcli.nouns.systems import Systems, refuse_unknown_elements
from crystalcli.vocabulary.errors import InputError, UsageError


class ModelPotential:
    """A model with a head that gives energies, see :class:`crystalcli.contracts.dynamics.Potential`.

    Of an ensemble, energies, forces and stress are the means of the members, and ``sigma`` is that of a prediction: the
    spread of the energies and, per atom, the error of the members on what they validated with, as far as calibrated.

    Args:
        model: model or ensemble; its weights are frozen.
        name: what users call it.
        device, dtype: where and how it computes; energies, forces and stress come out in float64.
        skin: Å, of the neighbor list; 0 looks for neighbors at every call.

    Attributes:
        smooth: whether energies are a smooth function of positions; a model on nearest neighbors is not.

    Raises:
        UsageError: a model without energies of atoms.
    """

    def __init__(
        self,
        model: CrystalModel | Ensemble,
        name: str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
        skin: float = SKIN,
    ) -> None:
        featurizer, _, head = parts(model.spec)
        if not model.differentiable:
            raise UsageError(
                f"head '{head.name}' gives no energy to differentiate; train an architecture whose head does: "
                + " or ".join(f"--arch {name}" for name in registry().leading_to("energy")),
                path=name,
            )
        model.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.members = model.models if isinstance(model, Ensemble) else [model]
        self.name, self.device, self.dtype = name, torch.device(device), dtype
        fit = model.sigma_fits.get("energy")
        self.factor = 1.0 if fit is None else fit.factor
        self.noise = model.aleatoric.get("energy", 0.0) if isinstance(model, Ensemble) else 0.0
        words = {"energy", "forces", "stress", "energies"}
        self.provides = frozenset(words | {"sigma"} if len(self.members) > 1 else words)
        self.elements = frozenset(model.spec.statistics.elements)
        self.smooth = "smooth-cutoff" in featurizer.provides
        self.spec, self.skin, self.fields = model.spec, skin, fields_of(model.spec)
        self.moving = _moving(self.spec, dtype, skin)

    def __getstate__(self) -> dict[str, Any]:
        """All but the list of neighbors, which is made anew where it is unpickled."""
        return {k: v for k, v in vars(self).items() if k != "moving"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`__getstate__`."""
        vars(self).update(state)
        self.moving = _moving(self.spec, self.dtype, self.skin)

    @classmethod
    def load(
        cls, path: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64, skin: float = SKIN
    ) -> ModelPotential:
        """Load the model of a file or run folder.

        Raises:
            UsageError: no model there, or one without energies. InputError: damaged. UnsafeInput: a pickle.
        """
        return cls(model_file.load(named_by(path))[0], str(path), device=device, dtype=dtype, skin=skin)

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Evaluate all structures.

        Raises:
            InputError: elements that training never saw, a cell without volume where stress is wanted, or a structure
                whose neighbors cannot be found.
        """
        refuse_untrained_elements(systems, self)
        flat = torch.linalg.det(systems.cell).abs() < 1e-9
        if stress and bool(flat.any()):
            k = int(flat.nonzero()[0])
            raise InputError(f"structure {k}: has no volume, and so no stress: ask for none of it", code="cell")
        graph = self.moving.of(systems)
        found = [_evaluated(m, graph, stress=stress) for m in self.members]
        if len(found) == 1:
            return found[0]
        energy, spread = mean_and_spread([f.energy for f in found])
        return Evaluated(
            energy=energy,
            forces=torch.stack([f.forces for f in found]).mean(0),
            stress=torch.stack([cast(Tensor, f.stress) for f in found]).mean(0) if stress else None,
            energies=torch.stack([cast(Tensor, f.energies) for f in found]).mean(0),
            sigma=self.factor * torch.hypot(spread, self.noise * graph.atom_counts.to(spread)),
        )


class Knowing(Protocol):
    """A model as a potential: what it is called, which elements it knows (empty: all), which fields it reads."""

    name: str
    elements: frozenset[int]
    fields: tuple[str, ...]


def refuse_untrained_elements(systems: Systems, potential: Knowing) -> None:
    """Refuse what a model cannot be asked about.

    Raises:
        InputError: elements that training never saw, or a per-site field that is not there; says which structure.
    """
    refuse_unknown_elements(systems, potential.elements, f"{{symbols}} not in the training of {potential.name}")
    for text in potential.fields:
        if (name := SiteField.parse(text).name) not in systems.fields:
            said = f"structure 0: {potential.name} reads the per-site field '{name}', which is not given here"
            raise InputError(said, code="field")


def _evaluated(model: CrystalModel, graph: CrystalGraph, *, stress: bool) -> Evaluated:
    predictions, found = model.differentiate(graph, stress=stress)
    energy, energies = (predictions[name].value.double() for name in ("energy", "energies"))
    return Evaluated(energy, found["forces"], found.get("stress"), energies)


def _moving(spec: ModelSpec, dtype: torch.dtype, skin: float) -> MovingGraph:
    """Edges as in training; those of a smooth cutoff come from a list with a skin."""
    featurizer, _, _ = parts(spec)
    chosen: Any = opt.make(featurizer.options, spec.graph.options, owner=f"featurizer {featurizer.name}")
    cutoff = getattr(chosen, "cutoff", 0.0) if "smooth-cutoff" in featurizer.provides else 0.0
    if not cutoff or not skin:
        return MovingGraph(graph_builder(featurizer, chosen), dtype)
    wider = dataclasses.replace(cast(Any, chosen), cutoff=cutoff + skin)
    return MovingGraph(graph_builder(featurizer, wider), dtype, cutoff, skin)


class ModelSurface:
    """A potential as far as :meth:`frozen` goes; see :class:`crystalcli.contracts.dynamics.Potential`.

    Args:
        model: model or ensemble (the mean of its members' surfaces); its weights are frozen.
        name: what users call it.
        device, dtype: where and how it computes; energies and forces come out in float64.
    """

    def __init__(
        self,
        model: CrystalModel | Ensemble,
        name: str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.model = model.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.name, self.device, self.dtype = name, torch.device(device), dtype
        self.provides = frozenset({"energy", "forces", "stress", "surface"})
        self.elements, self.fields = frozenset(model.spec.statistics.elements), fields_of(model.spec)

    def frozen(self, systems: Systems) -> Surface:
        """The surface of the structures as they are now.

        Raises:
            InputError: elements that training never saw, a field that is not given, no neighbors to be found.
        """
        refuse_untrained_elements(systems, self)
        spec = self.model.spec
        featurizer, _, _ = parts(spec)
        options: Any = opt.make(featurizer.options, spec.graph.options, owner=f"featurizer {featurizer.name}")
        graph = MovingGraph(graph_builder(featurizer, options), self.dtype).of(systems)
        return self.model.surface(graph, self.name, systems.places)

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:  # noqa: ARG002
        """Refuses: asked anew at every step the surface would move with the atoms.

        Raises:
            UsageError: always.
        """
        raise UsageError("is a surface; ask it once, for a frozen one", path=self.name)
