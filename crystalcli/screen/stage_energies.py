"""What comes back from a stage as the energy of a structure: under which name, in which unit, total or per atom."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from crystalcli.engine.labels import label_units
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.label_units import PER_ATOM
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.screen.options import Energies
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def energy_of(entry: Entry, energies: Energies) -> float | None:
    """What came back as the energy, as the plan has it: a total in eV, or a formation energy in eV/atom.

    Raises:
        UsageError: no number per structure, or one that is no such energy by its unit.
    """
    request = energy_request(energies, entry.labels)
    key, value, n = request.key, entry.labels.get(request.key), len(entry.atoms)
    if value is None:
        return None
    known = entry.quantities.get(key, Quantity(key, shape=np.shape(value)))
    if known.level != "structure" or known.shape or known.classes:
        raise UsageError(f"'{key}' is no number per structure; a stage needs energies", path=entry.source)
    # of a name that ASE has for a total, "eV" may be all that is known of the number, and no word of the file
    said = request.unit or ("" if key in ASE_QUANTITIES and known.unit == "eV" else known.unit)
    energy = float(value) * _in_ev(request, said, n, path=entry.source, formation=energies.formation)
    return energy if np.isfinite(energy) else None


def energy_request(energies: Energies, offered: Collection[str] = ()) -> LabelRequest:
    """What a stage's ``energy`` asks for: ``KEY``, ``KEY:UNIT``, ``KEY/atom``; a key of ``offered`` as it stands.

    Raises:
        UsageError: a unit that is none of energies, or a kind of energy that the stage has not.
    """
    if energies.energy in offered:
        return LabelRequest(energies.energy, energies.energy, energies.energy)
    request = LabelRequest.parse(energies.energy)
    _in_ev(request, request.unit, 1, path=None, formation=energies.formation)
    return request


def _in_ev(request: LabelRequest, unit: str, n: int, *, path: str | None, formation: bool) -> float:
    """By what a number in ``unit`` of ``n`` atoms is multiplied to be eV, or of formation energies eV/atom."""
    per_atom = unit.endswith(PER_ATOM)
    factor = label_units.factor(unit.removesuffix(PER_ATOM), "eV") if unit else 1.0
    if factor is None:
        raise UsageError(f"'{request.key}' is in '{unit}', which is no unit of energy that is known", path=path)
    if request.scaling and per_atom:
        raise UsageError(f"'{request.key}' is in {unit}: '{request.text}' makes no sense", path=path)
    if not formation:
        if request.scaling == PER_ATOM:
            raise UsageError(f"'{request.text}' is per atom, and the stage needs a total in eV", path=path)
        return factor * n if per_atom or request.scaling else factor
    if request.scaling == "*atoms" or (unit and not per_atom and not request.scaling):
        said = f"'{request.text}' is a total{f' in {unit}' if unit else ''}, and formation = true means eV/atom"
        raise UsageError(f'{said}; say energy = "{request.key}{PER_ATOM}"', path=path)
    return factor / n if request.scaling else factor
