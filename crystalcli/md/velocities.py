"""The velocities with which a run begins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from crystalcli.nouns.systems import Systems, per_structure, temperature
from crystalcli.vocabulary.seeds import seed_of
from crystalcli.vocabulary.units import ACCELERATION, KB


def maxwell_boltzmann(systems: Systems, kelvin: float, seed: int, ids: Sequence[str]) -> Systems:
    """Random velocities at exactly ``kelvin``.

    Drawn from the Maxwell–Boltzmann distribution by ``seed`` and the id of each structure, so that a structure starts
    the same in whatever company; the motion of the centre of mass is taken out where no atom is fixed, fixed atoms
    rest, and the rest is scaled so that the kinetic energy is f k_B T / 2 exactly.
    """
    noise = []
    for name, count in zip(ids, systems.atom_counts.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed_of("velocities", seed, name))
        noise.append(torch.randn(count, 3, generator=generator, dtype=torch.float64))
    width = (KB * kelvin * ACCELERATION / systems.masses).sqrt().unsqueeze(1)
    started = at_rest(systems.moved(velocities=torch.cat(noise).to(width.device) * width))
    found = temperature(started)
    factor = torch.where(found > 0, (kelvin / found.clamp_min(1e-300)).sqrt(), torch.zeros_like(found))
    return started.moved(velocities=started.velocities * _of_atoms(systems, factor).unsqueeze(1))


def at_rest(systems: Systems) -> Systems:
    """Without motion of fixed atoms and, where there are none, of the centre of mass."""
    v = systems.velocities.masked_fill(systems.fixed.unsqueeze(1), 0.0)
    momentum = per_structure(systems, systems.masses.unsqueeze(1) * v)
    whole = per_structure(systems, systems.fixed.double()) == 0
    drift = momentum / per_structure(systems, systems.masses).unsqueeze(1) * whole.unsqueeze(1)
    return systems.moved(velocities=v - _of_atoms(systems, drift))


def _of_atoms(systems: Systems, values: Tensor) -> Tensor:
    return values.index_select(0, systems.structure_index)
