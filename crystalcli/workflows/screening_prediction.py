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
    members = model.models if isinstance(model, Ensemble) else [model]
    name = model.spec.targets[0].name
    constant = model.aleatoric.get(name, 0.0) if isinstance(model, Ensemble) else 0.0
    values = []
    for batch in evaluation.ahead(pool.data.batch, evaluation.pieces_of(pool.index, batch_size)):
        graph = batch.graph.to(where)
        values.append(torch.stack([m(graph)[name].value for m in members], 1).cpu().numpy())
    every = np.concatenate(values) if values else np.zeros((0, len(members)))
    amounts, spread = pool.amounts(), every.std(1)
    flags = _flags(model, amounts, every, constant, provenance)
    return [
        Candidate(i, a, float(v.mean()), constant, float(s), tuple(v.tolist()) if len(members) > 1 else (), flag)
        for i, a, v, s, flag in zip(pool.ids, amounts, every, spread, flags, strict=True)
    ]


def _flags(
    model: model_file.AnyModel,
    amounts: Sequence[Amounts],
    values: np.ndarray,
    constant: float,
    provenance: Mapping[str, Any],
) -> list[str]:
    """Why a prediction is an extrapolation: elements never seen, energies or spreads outside those of training."""
    seen = {chemical_symbols[z] for z in model.spec.statistics.elements}
    domain = provenance.get("domain", {}).get(model.spec.targets[0].name, {})
    flags = []
    for elements, value in zip(amounts, values, strict=True):
        said = []
        new = sorted(set(elements) - seen, key=chemical_symbols.index)
        if new:
            said.append("elements never seen: " + ", ".join(new))
        sigma = float(np.hypot(constant, value.std()))
        if domain and not domain["low"] - FAR * sigma <= value.mean() <= domain["high"] + FAR * sigma:
            said.append("energy outside that of training")
        if domain and value.std() > domain["epistemic"]:
            said.append("members disagree more than on test structures")
        flags.append("; ".join(said))
    return flags
