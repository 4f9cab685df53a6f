"""A model: featurizer → architecture → head, with an optional closed-form baseline as baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.modules import Baseline, Embedding, Features, Labels, Prediction, SurfaceEnergy, shape_of
from crystalcli.contracts.records import Part
from crystalcli.engine.baselines import baselines as closed_forms
from crystalcli.engine.model.derivatives import DERIVED, Strained, to_pressure
from crystalcli.engine.model.model_parts import parts, refuse_misfits, refuse_shape
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.out_of_domain import OutOfDomain
from crystalcli.engine.model.part_answers import PartAnswers
from crystalcli.engine.model.sigma_fit import SigmaFit, applied
from crystalcli.engine.model.surface import Surface
from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.systems import to_voigt
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


class ModelOutput(NamedTuple):
    """Predictions of a batch, and the embedding (of an ensemble that of its first member) that they come from.

    ``members`` are, of an ensemble, the predictions of each.
    """

    predictions: dict[str, Prediction]
    embedding: Embedding
    members: tuple[dict[str, Prediction], ...] = ()


class CrystalModel(nn.Module):
    """Graph → ``{quantity: Prediction}``.

    Args:
        spec: what to build.
        fitted: baselines by target; without them the baselines of ``spec`` are built empty, to be loaded.

    Attributes:
        witnesses: small crystals that its file is to keep with its answers; none: made up when it is saved.

    Raises:
        UsageError: a part that is not installed, or parts that do not fit together.
    """

    @staying()
    def __init__(self, spec: ModelSpec, fitted: Mapping[str, Baseline] | None = None) -> None:
        super().__init__()
        self.spec = spec
        featurizer, architecture, head = parts(spec)
        refuse_misfits(featurizer, architecture, head, spec.targets)
        self.differentiable, self.offers_surface = "energy" in head.provides, "surface" in head.provides
        graph_options = _options(featurizer, featurizer.options, spec.graph)
        embed_options = _options(featurizer, featurizer.embed_options, spec.embedding)
        self.answers = PartAnswers(spec)
        features = featurizer.embed(embed_options, graph_options, spec.statistics)
        self.features = self.answers.built("featurizer", features, "node_dim", "edge_dim")
        self.answers.node_dim, self.answers.edge_dim = widths = self.features.node_dim, self.features.edge_dim
        chosen = _options(architecture, architecture.options, spec.architecture)
        self.architecture = self.answers.built(
            "architecture", architecture.build(chosen, *widths, spec.statistics), "embedding_dim"
        )
        self.answers.shape = shape = shape_of(self.architecture)
        refuse_shape(shape, architecture, head)
        self.taken, self.asks_again = frozenset(head.irreps), head.again
        seen = EmbeddingShape(shape.irreps.only(self.taken), shape.edge_dim)
        chosen = _options(head, head.options, spec.head)
        self.head = self.answers.built("head", head.build(chosen, seen, spec.targets, spec.statistics))
        derived = DERIVED if self.differentiable else ()
        self.answers.predicted = tuple(t for t in spec.targets if t.name not in derived)
        if fitted is None:
            fitted = {t: closed_forms.blank(c.name, c.options) for t, c in spec.baselines.items()}
        self.frozen_norms = False
        self.sigma_fits: dict[str, SigmaFit] = {}
        self.out_of_domain: OutOfDomain | None = None
        self.witnesses: CrystalGraph | None = None
        self.baseline_targets = tuple(t.name for t in spec.targets if t.name in fitted)
        self.baselines = nn.ModuleList(fitted[t] for t in self.baseline_targets)

    def train(self, mode: bool = True) -> CrystalModel:
        """Set the mode; batch norms stay in evaluation where their statistics are frozen (``frozen_norms``)."""
        super().train(mode)
        if mode and self.frozen_norms:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(
        self, graph: CrystalGraph, baseline_values: Mapping[str, Tensor] | None = None
    ) -> dict[str, Prediction]:
        """Predict every target.

        Args:
            graph: a batch of S crystals.
            baseline_values: (S,) float64 by target, if computed before (training does this once);
                without it they are computed from the graph.
        """
        return self.seen(graph, baseline_values).predictions

    @staying()
    def seen(self, graph: CrystalGraph, baseline_values: Mapping[str, Tensor] | None = None) -> ModelOutput:
        """What it predicts, and the embedding behind it, which is made once."""
        raw = self._derived(graph) if self.differentiable else self._direct(graph)
        return ModelOutput(self._finished(graph, raw.predictions, baseline_values), raw.embedding)

    @staying()
    def embed(self, graph: CrystalGraph, features: Features | None = None) -> Embedding:
        """What the architecture makes of the atoms; from ``features`` if another model with the same has made them."""
        made = self.features_of(graph) if features is None else features
        try:
            found = self.architecture(graph, made)
        except Exception:
            self.answers.edges(made, graph)  # else the architecture is blamed for those of a featurizer
            raise
        return self.answers.embedding(found, graph)

    @staying()
    def features_of(self, graph: CrystalGraph) -> Features:
        """What the featurizer's module makes of a batch."""
        return self.answers.features(self.features(graph), graph)

    @staying()
    def of_embedding(
        self, graph: CrystalGraph, embedding: Embedding, baseline_values: Mapping[str, Tensor] | None = None
    ) -> dict[str, Prediction]:
        """What the head makes of an embedding; of a model with forces not all that it predicts."""
        return self._finished(graph, self._by_head(graph, embedding), baseline_values)

    def seen_by_head(self, graph: CrystalGraph) -> Embedding:
        """What the head is given of the atoms of a batch."""
        return self._for_head(self.embed(graph))

    def _for_head(self, embedding: Embedding) -> Embedding:
        """What the head is given of an embedding."""
        seen = embedding.only(self.taken)
        return replace(seen, again=lambda moved: self._for_head(self.embed(moved))) if self.asks_again else seen

    def _finished(
        self, graph: CrystalGraph, predictions: dict[str, Prediction], baseline_values: Mapping[str, Tensor] | None
    ) -> dict[str, Prediction]:
        if self.baseline_targets:
            known = self.baseline_values(graph) if baseline_values is None else baseline_values
            predictions = {n: replace(p, value=p.value + known[n]) if n in known else p for n, p in predictions.items()}
        return applied(self.sigma_fits, predictions, graph)

    def _direct(self, graph: CrystalGraph) -> ModelOutput:
        """What the head predicts, without baselines."""
        embedding = self.embed(graph)
        return ModelOutput(self._by_head(graph, embedding), embedding)

    def _by_head(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        return self.answers.predictions(self.head(graph, self._for_head(embedding)), graph)

    def _derived(self, graph: CrystalGraph) -> ModelOutput:
        """What the head predicts, and forces, stress and pressure if they are targets."""
        wanted = {t.name: t for t in self.spec.targets if t.name in DERIVED}
        if not wanted:
            return self._direct(graph)
        raw, found = self._differentiated(graph, stress=bool({"stress", "pressure"} & wanted.keys()))
        return raw._replace(predictions=raw.predictions | _derived_targets(wanted, found))

    def everything(self, graph: CrystalGraph) -> tuple[dict[str, Prediction], dict[str, Tensor]]:
        """What it predicts, and where it has energies ``energies``, ``forces`` and ``stress`` as of a potential."""
        if not self.differentiable:
            return self(graph), {}
        wanted = {t.name: t for t in self.spec.targets if t.name in DERIVED}
        predictions, found = self.differentiate(graph, stress=True)
        said = self._finished(graph, predictions | _derived_targets(wanted, found), None)
        return said, {"energies": predictions["energies"].value, **found}

    @staying()
    def differentiate(self, graph: CrystalGraph, *, stress: bool) -> tuple[dict[str, Prediction], dict[str, Tensor]]:
        """Predictions of a head with energies, and ``forces`` (N, 3) eV/Å and ``stress`` (S, 3, 3) eV/Å³ from them.

        In training the derivatives can be differentiated; else everything comes detached.
        """
        raw, found = self._differentiated(graph, stress=stress)
        return raw.predictions, found

    def _differentiated(self, graph: CrystalGraph, *, stress: bool) -> tuple[ModelOutput, dict[str, Tensor]]:
        with torch.enable_grad():
            strained = Strained.of(graph, stress)
            raw = self._direct(strained.graph)
            found = strained.derive(raw.predictions["energy"].value, keep=self.training)
        if self.training:
            return raw, found
        predictions = {n: replace(p, value=p.value.detach()) for n, p in raw.predictions.items()}
        edges = raw.embedding.edges
        embedding = replace(
            raw.embedding, nodes=raw.embedding.nodes.detach(), edges=None if edges is None else edges.detach()
        )
        return ModelOutput(predictions, embedding), found

    def surface(self, graph: CrystalGraph, name: str = "surface", places: Tensor | None = None) -> Surface:
        """The energy whose minimum the head predicts, frozen at ``graph``, as a potential.

        Raises:
            UsageError: a head that has none.
        """
        return Surface([self.surface_energy(graph)], graph, name, places)

    @torch.no_grad()
    @staying()
    def surface_energy(self, graph: CrystalGraph) -> SurfaceEnergy:
        """See :meth:`surface`."""
        if not self.offers_surface:
            raise UsageError(f"head '{self.spec.head.name}' offers no surface that could be minimised")
        energy: SurfaceEnergy = getattr(self.head, "surface")(graph, self._for_head(self.embed(graph)))  # noqa: B009
        return energy

    def baseline_values(self, graph: CrystalGraph) -> dict[str, Tensor]:
        """Values of the baselines, (S,) float64 by target; empty without baselines."""
        return {t: b(graph) for t, b in zip(self.baseline_targets, self.baselines, strict=True)}

    @staying()
    def loss(
        self,
        graph: CrystalGraph,
        labels: Mapping[str, Labels],
        kind: str,
        baseline_values: Mapping[str, Tensor] | None = None,
    ) -> tuple[dict[str, Prediction], Tensor]:
        """Predictions of a batch and their loss in normalised units (``kind``: l1, mse, huber)."""
        predictions = self(graph, baseline_values)
        loss = self.answers.loss(self.head.loss(predictions, labels, graph, kind))
        penalty = getattr(self.architecture, "penalty", None)
        return predictions, loss if penalty is None else loss + penalty()


def _derived_targets(wanted: Mapping[str, Quantity], found: Mapping[str, Tensor]) -> dict[str, Prediction]:
    """The targets that are derivatives, in their shapes."""
    values = dict(found)
    if "pressure" in wanted:
        values["pressure"] = to_pressure(found["stress"])
    if "stress" in wanted:
        values["stress"] = to_voigt(found["stress"])
    return {name: Prediction(values[name], quantity) for name, quantity in wanted.items()}


def _options(part: Part, model: type, choice: PartChoice) -> Any:
    return opt.make(model, choice.options, owner=f"{part.family} {part.name}")


def of_one_size(model: Any) -> list[Quantity]:
    """Targets of ``model``, or of an ensemble, that do not grow with the crystal as the values of its head do.

    What it says of them holds for crystals of the size that it has learned.
    """
    extensive = getattr(model.head, "extensive", None)
    if extensive is None or model.differentiable:
        return []
    return [t for t in model.spec.targets if t.level == "structure" and not t.classes and t.extensive != extensive]


def refuse_mixed_sizes(model: CrystalModel, atom_counts: NDArray[np.int64]) -> None:
    """Refuse a total label under an intensive head, or the reverse, when crystals differ in size.

    So they do where the model has learned of crystals of another size.

    Raises:
        UsageError: with the cure.
    """
    sizes = np.union1d(atom_counts, [n] if (n := model.spec.statistics.atoms) else [])
    if len(sizes) < 2:
        return
    low, high = int(sizes[0]), int(sizes[-1])
    for t in of_one_size(model):
        if t.extensive:
            raise UsageError(
                f"label '{t.name}' is a total and crystals have {low} to {high} atoms, but the head's value does not"
                " grow with the crystal; declare the label per atom when building the graphs, or use --pool sum"
            )
        raise UsageError(
            f"label '{t.name}' does not grow with the crystal, but the head's value does (crystals have {low} to {high}"
            " atoms); use --pool average, max or fcmax, or declare the label a total when building the graphs"
        )
