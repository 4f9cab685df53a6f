"""What an ensemble says of candidates: formation energies with σ, and whether it has seen anything like them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols

from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.ensemble import Ensemble
from crystalcli.mechanisms.phases.hull import Amounts
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.running.devices import choose_device
from crystalcli.mechanisms.scoring import evaluation
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.workflows.screening_data import Pool

FAR = 3.0
"""A prediction this many σ outside the energies of the training is flagged."""


@torch.no_grad()
def predicted(
    model: model_file.AnyModel,
    pool: Pool,
    provenance: Mapping[str, Any],
    *,
    device: str = "auto",
    batch_size: int = 64,
) -> list[Candidate]:
    """Formation energies of all candidates, with what each member says."""
    where = choose_device(device)
    model.to(where)
    found = [np.zeros((0, 3 + (len(model.models) if isinstance(model, Ensemble) else 0)))]
    for batch in evaluation.ahead(pool.data.batch, evaluation.pieces_of(pool.index, batch_size)):
        found.append(_of_batch(model, batch.graph.to(where)))
    every, amounts = np.concatenate(found), pool.amounts()
    flags = _flags(model, amounts, every, provenance)
    return [
        Candidate(i, a, v[0], v[1], v[2], tuple(v[3:]), flag)
        for i, a, v, flag in zip(pool.ids, amounts, every.tolist(), flags, strict=True)
    ]


def _of_batch(model: model_file.AnyModel, graph: CrystalGraph) -> np.ndarray:
    """Energy, σ_a, σ_e and what each member of an ensemble says, (S, 3 + M), eV/atom."""
    name = model.spec.targets[0].name
    said: list[torch.Tensor] = []
    if isinstance(model, Ensemble):
        each = model.each(graph)
        said, p = [m[name].value for m in each], model.joined(each, graph)[name]
    else:
        p = model(graph)[name]
    nothing = torch.zeros_like(p.value)
    noise = p.aleatoric if p.aleatoric is not None else p.sigma if p.sigma is not None else nothing
    return torch.stack([p.value, noise, nothing if p.epistemic is None else p.epistemic, *said], 1).cpu().numpy()


def _flags(
    model: model_file.AnyModel,
    amounts: Sequence[Amounts],
    values: np.ndarray,
    provenance: Mapping[str, Any],
) -> list[str]:
    """Why a prediction is an extrapolation: elements never seen, energies or spreads outside those of training."""
    seen = {chemical_symbols[z] for z in model.spec.statistics.elements}
    name = model.spec.targets[0].name
    domain = provenance.get("domain", {}).get(name, {})
    flags = []
    usual = domain.get("epistemic", np.inf) * (fit.factor if (fit := model.sigma_fits.get(name)) else 1.0)
    for elements, (energy, noise, spread, *_) in zip(amounts, values, strict=True):
        said = []
        new = sorted(set(elements) - seen, key=chemical_symbols.index)
        if new:
            said.append("elements never seen: " + ", ".join(new))
        sigma = float(np.hypot(noise, spread))
        if domain and not domain["low"] - FAR * sigma <= energy <= domain["high"] + FAR * sigma:
            said.append("energy outside that of training")
        if spread > usual:
            said.append("members disagree more than on test structures")
        flags.append("; ".join(said))
    return flags
