"""A model of some of the targets that it was taught, with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from crystalcli.contracts.modules import Baseline
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_head import spec_of_targets
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.model.proof import AnyModel
from crystalcli.vocabulary.errors import UsageError


def narrowed(model: AnyModel, targets: Sequence[str]) -> AnyModel:
    """``model`` with ``targets`` alone, of which it says what it says now; in evaluation mode.

    Raises:
        UsageError: no such target, or a head that cannot be built for fewer.
    """
    if isinstance(model, Ensemble):
        members = [_one(m, targets) for m in model.models]
        made: AnyModel = Ensemble(members, {n: v for n, v in model.aleatoric.items() if n in targets})
    else:
        made = _one(model, targets)
    made.sigma_fits = {name: fit for name, fit in model.sigma_fits.items() if name in targets}
    made.out_of_domain, made.witnesses = model.out_of_domain, model.witnesses
    return made.eval()


def _one(model: CrystalModel, targets: Sequence[str]) -> CrystalModel:
    spec = ModelSpec.from_json(spec_of_targets(model.spec.to_json(), targets))
    state_of = getattr(model.head, "only", None)
    if state_of is None:
        raise UsageError(f"head '{spec.head.name}' has no method 'only', which keeps some of its targets")
    pairs = zip(model.baseline_targets, model.baselines, strict=True)
    fitted = {name: cast(Baseline, term) for name, term in pairs if name in targets}
    with torch.random.fork_rng(devices=[]):
        made = CrystalModel(spec, fitted)
    for name in ("features", "architecture"):
        made.get_submodule(name).load_state_dict(model.get_submodule(name).state_dict())
    cast(nn.Module, made.head).load_state_dict(state_of(spec.targets))
    return made
