"""What an ensemble says of candidates: formation energies with σ, and whether it has seen anything like them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers

from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.ensemble import Ensemble
from crystalcli.mechanisms.models.sigma_fit import UNCALIBRATED
from crystalcli.mechanisms.phases.hull import Amounts
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.running.devices import choose_device
from crystalcli.mechanisms.scoring import evaluation
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.workflows.predict.extrapolation import Domain, Said
from crystalcli.workflows.screen.screening_data import Pool


@dataclass(frozen=True)
class Answer:
    """What a model says of some structures, as it is kept while others are asked for.

    Args:
        numbers: (S, 4 + M) energy, σ_a, σ_e (eV/atom), strangeness (0 if not known) and what each of M members says.
        flags: (S,) why a prediction is an extrapolation; empty if nothing speaks for it.
    """

    numbers: np.ndarray
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values with every bit of the numbers, the inverse of :meth:`from_json`; one text is soon written."""
        data = base64.b64encode(np.ascontiguousarray(self.numbers, dtype="<f8").tobytes()).decode()
        return {"numbers": data, "flags": list(self.flags)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Answer:
        """Build from the record of :meth:`to_json`."""
        numbers = np.frombuffer(base64.b64decode(data["numbers"]), dtype="<f8")
        return cls(numbers.reshape(len(data["flags"]), -1), tuple(data["flags"]))


@torch.no_grad()
def ask(
    model: model_file.AnyModel,
    pool: Pool,
    amounts: Sequence[Amounts],
    provenance: Mapping[str, Any],
    *,
    device: str = "auto",
    batch_size: int = 64,
) -> Answer:
    """What ``model`` says of all structures of ``pool``, whose compositions are ``amounts``."""
    where = choose_device(device)
    model.to(where)
    found = [np.zeros((0, 4 + (len(model.models) if isinstance(model, Ensemble) else 0)))]
    for batch in evaluation.ahead(pool.data.batch, evaluation.pieces_of(pool.index, batch_size)):
        found.append(_of_batch(model, batch.graph.to(where)))
    every = np.concatenate(found)
    return Answer(every, tuple(_flags(model, amounts, every, provenance)))


def candidates(
    model: model_file.AnyModel, ids: Sequence[str], amounts: Sequence[Amounts], answer: Answer
) -> list[Candidate]:
    """Formation energies with what each member says, of all structures that were asked for."""
    calibration = _calibration(model)
    return [
        Candidate(i, a, v[0], v[1], v[2], tuple(v[4:]), flag, calibration)
        for i, a, v, flag in zip(ids, amounts, answer.numbers.tolist(), answer.flags, strict=True)
    ]


def predicted(
    model: model_file.AnyModel,
    pool: Pool,
    provenance: Mapping[str, Any],
    *,
    device: str = "auto",
    batch_size: int = 64,
) -> list[Candidate]:
    """Formation energies of all candidates, with what each member says."""
    amounts = pool.amounts()
    answer = ask(model, pool, amounts, provenance, device=device, batch_size=batch_size)
    return candidates(model, pool.ids, amounts, answer)


def _of_batch(model: model_file.AnyModel, graph: CrystalGraph) -> np.ndarray:
    """Energy, σ_a, σ_e, strangeness (0 if not known) and what each member of an ensemble says, (S, 4 + M), eV/atom."""
    name = model.spec.targets[0].name
    each = model.each(graph) if isinstance(model, Ensemble) else [model.seen(graph)]
    p = model.joined(each, graph)[name] if isinstance(model, Ensemble) else each[0].predictions[name]
    said = [m.predictions[name].value for m in each] if isinstance(model, Ensemble) else []
    nothing = torch.zeros_like(p.value)
    noise = p.aleatoric if p.aleatoric is not None else p.sigma if p.sigma is not None else nothing
    spread, strange = nothing if p.epistemic is None else p.epistemic, nothing
    if model.familiarity is not None:
        strange = model.familiarity.strangeness(graph, each[0].embedding).to(p.value)
    return torch.stack([p.value, noise, spread, strange, *said], 1).cpu().numpy()


def _calibration(model: model_file.AnyModel) -> str:
    fit = model.sigma_fits.get(model.spec.targets[0].name)
    if fit is not None:
        return fit.method
    return UNCALIBRATED if isinstance(model, Ensemble) else ""


def _flags(
    model: model_file.AnyModel,
    amounts: Sequence[Amounts],
    values: np.ndarray,
    provenance: Mapping[str, Any],
) -> list[str]:
    """Why each prediction is an extrapolation, or nothing."""
    domain, name = Domain.of(model, provenance), model.spec.targets[0].name
    flags = []
    for elements, (energy, noise, spread, strangeness, *_) in zip(amounts, values.tolist(), strict=True):
        said = {name: Said(energy, float(np.hypot(noise, spread)), spread)}
        flags.append(domain.reasons([atomic_numbers[e] for e in elements], said, strangeness))
    return flags
