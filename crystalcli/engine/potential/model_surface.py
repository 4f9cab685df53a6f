"""A model that offers a surface in place of a potential: frozen at the structures of a batch as they are first."""

from __future__ import annotations

from typing import Any

import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_fields import fields_of
from crystalcli.engine.model.model_parts import parts
from crystalcli.engine.model.surface import Surface
from crystalcli.engine.potential.model_potential import refuse_untrained_elements
from crystalcli.engine.potential.moving_graph import MovingGraph
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import UsageError


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
        graph = MovingGraph(featurizer.build(options), self.dtype).of(systems)
        return self.model.surface(graph, self.name, systems.places)

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:  # noqa: ARG002
        """Refuses: asked anew at every step the surface would move with the atoms.

        Raises:
            UsageError: always.
        """
        raise UsageError("is a surface; ask it once, for a frozen one", path=self.name)
