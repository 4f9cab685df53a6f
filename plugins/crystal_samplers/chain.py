"""A chain of Nosé–Hoover thermostats, one for each structure (Martyna, Klein, Tuckerman, JCP 97, 2635 (1992))."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from crystal_samplers.motion import COLDEST, thermal
from crystalcli.contracts.dynamics import State


def start(name: str, degrees: Tensor, temperature: Tensor, damping: float, length: int) -> State:
    """A chain at rest: masses Q₁ = f k_B T τ², Q_k = k_B T τ² (eq. 2.13).

    Args:
        name: prefix of its tensors in the state.
        degrees: (S,) degrees of freedom f that it acts on.
        temperature: (S,) K.
        damping: τ, fs.
        length: thermostats M.
    """
    one = thermal(temperature.clamp_min(COLDEST)) * damping**2
    masses = one.unsqueeze(1).repeat(1, length)
    masses[:, 0] *= degrees
    zero = torch.zeros_like(masses)
    return {f"{name}_mass": masses, f"{name}_rate": zero, f"{name}_heat": zero[:, 0].clone()}


def half_step(
    name: str, state: State, twice_kinetic: Tensor, degrees: Tensor, temperature: Tensor, dt: float
) -> tuple[Tensor, State]:
    """Let the chain act for half a step of ``dt`` fs (Martyna et al., Mol. Phys. 87, 1117 (1996), eq. 29).

    Args:
        name: prefix of its tensors.
        state: of the sampler.
        twice_kinetic: (S,) Σ m v², eV.
        degrees: (S,).
        temperature: (S,) K, target.
        dt: fs.

    Returns:
        (S,) factor for the velocities, and the state after.
    """
    h, kt = 0.5 * dt, thermal(temperature)
    masses = state[f"{name}_mass"].unbind(1)
    rates = list(state[f"{name}_rate"].unbind(1))
    last = len(rates) - 1

    def kick(k: int) -> None:
        pull = twice_kinetic - degrees * kt if k == 0 else masses[k - 1] * rates[k - 1].square() - kt
        if k == last:
            rates[k] = rates[k] + pull / masses[k] * (0.5 * h)
            return
        drag = torch.exp(rates[k + 1] * (-0.25 * h))
        rates[k] = (rates[k] * drag + pull / masses[k] * (0.5 * h)) * drag

    for k in range(last, -1, -1):
        kick(k)
    factor = torch.exp(rates[0] * -h)
    twice_kinetic = twice_kinetic * factor.square()
    heat = degrees * rates[0] + sum(rates[1:], start=torch.zeros_like(kt))
    for k in range(last + 1):
        kick(k)
    after = {f"{name}_rate": torch.stack(rates, 1), f"{name}_heat": torch.addcmul(state[f"{name}_heat"], heat, kt * h)}
    return factor, {**state, **after}


def energy(name: str, state: Mapping[str, Tensor]) -> Tensor:
    """(S,) eV that the chain holds: ½ Σ Q v² and the heat it took, ∫ k_B T (f v₁ + Σ v_k) dt; true for T(t) too."""
    kinetic = (state[f"{name}_mass"] * state[f"{name}_rate"].square()).sum(1)
    return 0.5 * kinetic + state[f"{name}_heat"]
