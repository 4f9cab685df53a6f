"""Several models of the same quantities as one: their mean, and how sure they are.

``σ² = σ_a² + σ_e²``: σ_a², one number per quantity, is the mean over members of the mean squared error on the member's
own validation part, or, of members that predict their noise, the mean of its squares; σ_e² is the variance over the
members. F. Ekström Kelvinius, R. Armiento, F. Lindsten, Phys. Rev.
Materials 6, 033801 (2022), doi:10.1103/PhysRevMaterials.6.033801, Eqs. 6–8; B. Lakshminarayanan et al., NeurIPS 2017.
The population variance (over M, not M − 1) is the one of a uniform mixture of the members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from crystalcli.contracts.modules import Embedding, Prediction, StackedMembers
from crystalcli.engine.model.model import CrystalModel, ModelOutput
from crystalcli.engine.model.model_parts import parts
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.model.sigma_fit import SigmaFit, applied
from crystalcli.engine.model.surface import Surface
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


class Ensemble(nn.Module):
    """Graph → ``{quantity: Prediction}`` with ``sigma``, ``aleatoric`` and ``epistemic``.

    Args:
        members: trained on the same quantities and graphs, from other beginnings.
        aleatoric: σ_a by quantity, in its unit (per atom for totals); a quantity without it has σ_e alone.

    Raises:
        UsageError: fewer than two members, members that do not go together, or two that are the same.
    """

    def __init__(self, members: Sequence[CrystalModel], aleatoric: Mapping[str, float]) -> None:
        super().__init__()
        _refuse_misfits(members)
        self.members = nn.ModuleList(members)
        self.aleatoric = dict(aleatoric)
        self.sigma_fits: dict[str, SigmaFit] = {}
        self.out_of_domain, self.witnesses = self.models[0].out_of_domain, self.models[0].witnesses
        features: list[nn.Module] = [m.get_submodule("features") for m in self.models]
        self.one_featurizer = all(_same(features[0], other) for other in features[1:])
        self.stacked = _stacked(self.models)

    @property
    def models(self) -> list[CrystalModel]:
        """The members."""
        return list(self.members)  # type: ignore[arg-type] # ModuleList forgets what is in it

    @property
    def head(self) -> nn.Module:
        """That of the first member, which says how errors are counted."""
        return self.models[0].get_submodule("head")

    @property
    def baseline_targets(self) -> tuple[str, ...]:
        """Targets with a baseline; the terms of the first member stand for all."""
        return self.models[0].baseline_targets

    @property
    def baselines(self) -> nn.ModuleList:
        """Baselines of the first member."""
        return self.models[0].baselines

    @property
    def spec(self) -> ModelSpec:
        """What all members have in common, and the elements that any of them has seen."""
        first = self.models[0].spec
        seen = sorted({z for m in self.models for z in m.spec.statistics.elements})
        return first.with_statistics(replace(first.statistics, elements=tuple(seen), references=()))

    @property
    def differentiable(self) -> bool:
        """Whether the members give energies that have forces."""
        return self.models[0].differentiable

    @property
    def offers_surface(self) -> bool:
        """Whether the members offer a surface."""
        return self.models[0].offers_surface

    def surface(self, graph: CrystalGraph, name: str = "surface", places: Tensor | None = None) -> Surface:
        """The mean of the members' surfaces at ``graph``, see :meth:`crystalcli.engine.model.model.CrystalModel`.

        Its minimum is not the mean of their minima, but near it where they agree.
        """
        return Surface([m.surface_energy(graph) for m in self.models], graph, name, places)

    def forward(
        self,
        graph: CrystalGraph,
        baseline_values: Mapping[str, Tensor] | None = None,  # noqa: ARG002
    ) -> dict[str, Prediction]:
        """Predict every target; every member adds its own baseline."""
        return self.joined(self.each(graph), graph)

    def everything(self, graph: CrystalGraph) -> tuple[dict[str, Prediction], dict[str, Tensor]]:
        """What all say together, and where they have energies the means of what they are as potentials."""
        if not self.differentiable:
            return self(graph), {}
        each = [m.everything(graph) for m in self.models]
        both = {q.name: self._joined(q, [p[q.name] for p, _ in each], graph) for q in self.spec.targets}
        means = {name: torch.stack([found[name] for _, found in each]).mean(0) for name in each[0][1]}
        return applied(self.sigma_fits, both, graph), means

    def seen(self, graph: CrystalGraph, baseline_values: Mapping[str, Tensor] | None = None) -> ModelOutput:  # noqa: ARG002
        """What all say together and each alone, and the embedding of the first."""
        each = self.each(graph)
        return ModelOutput(self.joined(each, graph), each[0].embedding, tuple(m.predictions for m in each))

    def each(self, graph: CrystalGraph) -> list[ModelOutput]:
        """What every member says."""
        if self.differentiable:
            return [m.seen(graph) for m in self.models]
        pairs = zip(self.models, self.embed(graph), strict=True)
        return [ModelOutput(m.of_embedding(graph, embedding), embedding) for m, embedding in pairs]

    def embed(self, graph: CrystalGraph) -> list[Embedding]:
        """What the architecture of every member makes of the atoms.

        Features that all have in common are made once; an architecture that can evaluates all members together.
        """
        if not self.one_featurizer:
            return [m.embed(graph) for m in self.models]
        features = self.models[0].features_of(graph)
        if self.stacked is not None and not self.training and not torch.is_grad_enabled():
            together = self.stacked(graph, features)
            if together is not None:
                pairs = zip(self.models, together, strict=True)
                return [m.answers.embedding(embedding, graph) for m, embedding in pairs]
        return [m.embed(graph, features) for m in self.models]

    def joined(self, each: Sequence[ModelOutput], graph: CrystalGraph) -> dict[str, Prediction]:
        """What the members said (:meth:`each`) as one, with σ as it was calibrated."""
        both = {q.name: self._joined(q, [m.predictions[q.name] for m in each], graph) for q in self.spec.targets}
        return applied(self.sigma_fits, both, graph)

    def _joined(self, quantity: Quantity, found: Sequence[Prediction], graph: CrystalGraph) -> Prediction:
        mean, epistemic = mean_and_spread([f.value for f in found])
        if quantity.classes:
            return Prediction(mean, quantity)
        said = [f.sigma for f in found if f.sigma is not None]
        if len(said) == len(found):
            aleatoric = torch.stack(said).square().mean(0).sqrt()
        elif quantity.name in self.aleatoric:
            constant = torch.full_like(mean, self.aleatoric[quantity.name])
            aleatoric = (
                constant * graph.atom_counts if quantity.extensive and quantity.level == "structure" else constant
            )
        else:  # nobody knows it, which is not that there is none
            return Prediction(mean, quantity, epistemic, epistemic=epistemic)
        sigma = (aleatoric.square() + epistemic.square()).sqrt()
        return Prediction(mean, quantity, sigma, aleatoric=aleatoric, epistemic=epistemic)


def mean_and_spread(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation over members, each of the shape of one value."""
    stacked = torch.stack(list(values))
    return stacked.mean(0), stacked.std(0, correction=0)


def _stacked(members: Sequence[CrystalModel]) -> StackedMembers | None:
    """All members' architectures as one, where they are of one kind that can be put together."""
    choices = [m.spec.architecture for m in members]
    stack = parts(members[0].spec)[1].stack
    if stack is None or any(c != choices[0] for c in choices):
        return None
    return stack([m.architecture for m in members])


def _refuse_misfits(members: Sequence[CrystalModel]) -> None:
    if len(members) < 2:
        raise UsageError("an ensemble has two members or more")
    first = members[0].spec
    for k, member in enumerate(members[1:], 1):
        spec = member.spec
        if spec.targets != first.targets:
            raise UsageError(f"member {k} of the ensemble predicts other quantities than member 0")
        if spec.graph != first.graph:
            raise UsageError(f"member {k} of the ensemble needs graphs made otherwise than member 0")
        for other in range(k):
            if _same(members[other], member):
                raise UsageError(
                    f"members {other} and {k} of the ensemble are the same model: their spread means nothing"
                )


def _same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(v.shape == two[k].shape and torch.equal(v, two[k]) for k, v in one.items())
