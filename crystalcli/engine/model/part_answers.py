"""What parts of a model give, in the types and shapes that the next part counts on; anything else names its plugin.

Only types and shapes are looked at, which costs a few microseconds and waits for no device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from crystalcli.contracts.irreps import SCALAR, EmbeddingShape
from crystalcli.contracts.modules import Embedding, Features, Prediction
from crystalcli.contracts.validation import call_problems
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.registry.at_fault import fault_of
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import PluginFault
from crystalcli.vocabulary.quantities import Quantity

M = TypeVar("M")

CALLED: Mapping[str, Mapping[str, int]] = {
    "featurizer": {"forward": 1},
    "architecture": {"forward": 2},
    "head": {"forward": 2, "loss": 4},
}
"""Methods of the modules of each family, and how many arguments they are called with."""


class PartAnswers:
    """Looks at what the parts of a model give.

    Args:
        spec: of the model.

    Attributes:
        node_dim, edge_dim: that the features say. shape: that the architecture says.
        predicted: what the head itself must predict.
    """

    node_dim: int
    edge_dim: int
    shape: EmbeddingShape
    predicted: tuple[Quantity, ...]

    def __init__(self, spec: ModelSpec) -> None:
        self.names = {"featurizer": spec.graph.name, "architecture": spec.architecture.name, "head": spec.head.name}

    def built(self, family: str, module: M, *widths: str) -> M:
        """``module``, if it says its ``widths`` and can be called as it will be. Raises like :meth:`features`."""
        if not isinstance(module, nn.Module):
            raise self._wrong(family, "", module, "a torch.nn.Module")
        for name in widths:
            if not isinstance(getattr(module, name, None), int):
                raise self._refusal(family, f"a {type(module).__name__} without a whole number {name}")
        for verb, count in CALLED[family].items():
            method = getattr(module, verb, None)
            if not callable(method):
                raise self._refusal(family, f"a {type(module).__name__} without a method {verb}()")
            if wrong := call_problems(verb, method, count):
                raise self._refusal(family, f"a {type(module).__name__} whose {wrong[0]}")
        return module

    def features(self, said: Any, graph: CrystalGraph) -> Features:
        """``said``, if it is features of ``graph``.

        Raises:
            PluginFault: it is not; names the plugin and says what it is.
        """
        if not isinstance(said, Features):
            raise self._wrong("featurizer", "", said, "Features")
        self._shaped("featurizer", "features of atoms", said.nodes, (graph.n_atoms, self.node_dim))
        return said

    def edges(self, features: Features, graph: CrystalGraph) -> None:
        """Look at the edges of ``features``, which are made if they were not. Raises like :meth:`features`."""
        if self.edge_dim:
            self._shaped("featurizer", "features of edges", features.edges, (graph.n_edges, self.edge_dim))

    def embedding(self, said: Any, graph: CrystalGraph) -> Embedding:
        """``said``, if it is an embedding of ``graph``. Raises like :meth:`features`."""
        if not isinstance(said, Embedding):
            raise self._wrong("architecture", "", said, "an Embedding")
        self._shaped("architecture", "nodes", said.nodes, (graph.n_atoms, self.shape.node_dim))
        if self.shape.edge_dim:
            self._shaped("architecture", "edges", said.edges, (graph.n_edges, self.shape.edge_dim))
        known = self.shape.irreps
        if known != said.irreps and (said.irreps is not None or known.kinds != {SCALAR}):
            raise self._refusal("architecture", f"an Embedding with irreps {said.irreps}, not {known}")
        return said

    def predictions(self, said: Any, graph: CrystalGraph) -> dict[str, Prediction]:
        """``said``, if it is what the head must predict of ``graph``. Raises like :meth:`features`."""
        if not isinstance(said, dict):
            raise self._wrong("head", "", said, "a dict of Predictions")
        for q in self.predicted:
            found = said.get(q.name)
            if not isinstance(found, Prediction):
                raise self._wrong("head", f"for {q.name} ", found, "a Prediction")
            rows = {"site": graph.n_atoms, "edge": graph.n_edges}.get(q.level, graph.n_structures)
            shape = (rows, q.classes) if q.classes else (rows, *q.shape)
            self._shaped("head", f"values of {q.name}", found.value, shape)
            if not isinstance(found.quantity, Quantity):
                raise self._wrong("head", f"for the quantity of {q.name} ", found.quantity, "a Quantity")
            for name in ("sigma", "aleatoric", "epistemic"):
                if (spread := getattr(found, name)) is not None:
                    self._shaped("head", f"{name} of {q.name}", spread, shape)
        return said

    def loss(self, said: Any) -> Tensor:
        """``said``, if it is a loss from which weights can learn. Raises like :meth:`features`."""
        if not isinstance(said, Tensor):
            raise self._wrong("head", "for the loss ", said, "a tensor")
        if said.numel() != 1:
            raise self._refusal("head", f"a loss of shape {tuple(said.shape)}, not one number")
        if not said.is_floating_point():
            raise self._refusal("head", f"a loss of {said.dtype}, which has no gradient")
        if torch.is_grad_enabled() and not said.requires_grad:
            raise self._refusal("head", "a loss that hangs on no weight; was it detached?")
        return said

    def _shaped(self, family: str, what: str, found: Any, wanted: tuple[int, ...]) -> None:
        if not isinstance(found, Tensor):
            raise self._wrong(family, f"for {what} ", found, "a tensor")
        if found.shape != wanted:
            raise self._refusal(family, f"{what} of shape {tuple(found.shape)}, not {wanted}")

    def _wrong(self, family: str, what: str, found: Any, wanted: str) -> PluginFault:
        return self._refusal(family, f"{what}a {type(found).__name__}, not {wanted}")

    def _refusal(self, family: str, gives: str) -> PluginFault:
        return fault_of(family, self.names[family], f"gives {gives}")
