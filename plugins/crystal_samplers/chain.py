"""A chain of Nosé–Hoover thermostats, one for each structure (Martyna, Klein, Tuckerman, JCP 97, 2635 (1992)).

Equations of motion, eq. (2.11), with rates v_k = dξ_k/dt of M thermostats, K the kinetic energy of f degrees of
freedom:

    dv_1/dt = (2K − f k_B T)/Q_1 − v_1 v_2,    dv_k/dt = (Q_{k−1} v_{k−1}² − k_B T)/Q_k − v_k v_{k+1},
    dp/dt = F − v_1 p,    Q_1 = f k_B T τ²,    Q_k = k_B T τ²

The masses follow the target T(t), so that the period of a thermostat, √2 π τ, is the same at 3000 K and at 300 K.
Momenta Q v go on when masses change, and the work done in changing them is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystal_samplers.motion import COLDEST, thermal
from crystal_samplers.options import ChainOptions
from crystalcli.contracts.dynamics import State

CUBE, FIFTH = 2.0 ** (1 / 3), 1.0 / (4.0 - 4.0 ** (1 / 3))
SEVEN = (0.784513610477560, 0.235573213359357, -1.177679984178870)
WEIGHTS = {
    "1": (1.0,),
    "3": (1 / (2 - CUBE), -CUBE / (2 - CUBE), 1 / (2 - CUBE)),
    "5": (FIFTH, FIFTH, 1.0 - 4.0 * FIFTH, FIFTH, FIFTH),
    "7": (*SEVEN, 1.0 - 2.0 * sum(SEVEN), *reversed(SEVEN)),
}
"""Parts of a step by number of points, of order 2, 4, 4 and 6 (H. Yoshida, Phys. Lett. A 150, 262 (1990))."""


class Chain:
    """Thermostats on one kinetic energy.

    Args:
        name: prefix of their tensors in the state of the sampler.
        damping: τ, fs.
        options: length of the chain and how it is integrated.
    """

    def __init__(self, name: str, damping: float, options: ChainOptions) -> None:
        self.name, self.length, self.square = name, options.chain, damping**2
        self.parts = options.substeps * [w / options.substeps for w in WEIGHTS[options.suzuki_yoshida]]

    def start(self, degrees: Tensor, temperature: Tensor) -> State:
        """At rest.

        Args:
            degrees: (S,) degrees of freedom f that it acts on.
            temperature: (S,) K.
        """
        none = degrees.new_zeros(len(degrees), self.length)
        masses = _tensor(self._masses(_numbers(temperature), _numbers(degrees)), none)
        return {f"{self.name}_mass": masses, f"{self.name}_rate": none, f"{self.name}_heat": none[:, 0].clone()}

    def half_step(
        self, state: State, twice_kinetic: Tensor, degrees: Tensor, temperature: Tensor, dt: float
    ) -> tuple[Tensor, State]:
        """Let the chain act for half a step of ``dt`` fs (Martyna et al., Mol. Phys. 87, 1117 (1996), eq. 29).

        It is cut into ``substeps`` times the points of :data:`WEIGHTS`. On the processor: each is a few numbers.

        Args:
            state: of the sampler.
            twice_kinetic: (S,) Σ m v², eV.
            degrees: (S,).
            temperature: (S,) K, target.
            dt: fs.

        Returns:
            (S,) factor for the velocities, and the state after.
        """
        twice, f, kt = _numbers(twice_kinetic), _numbers(degrees), _numbers(thermal(temperature))
        masses = self._masses(_numbers(temperature), f)
        old, rates = (_columns(state[f"{self.name}_{word}"]) for word in ("mass", "rate"))
        with np.errstate(all="ignore"):  # of a structure that has exploded
            momenta = [q * v for q, v in zip(old, rates, strict=True)]
            work = sum(p * v for p, v in zip(momenta, rates, strict=True))
            rates = [p / q for p, q in zip(momenta, masses, strict=True)]
            work = work - sum(p * v for p, v in zip(momenta, rates, strict=True))
            factor, turned = 1.0, 0.0
            for part in self.parts:
                h = 0.5 * part * dt
                scale, angle = _act(rates, twice / masses[0], f, f * kt / masses[0], h)
                factor, twice, turned = factor * scale, twice * (scale * scale), turned + angle * h
            taken = 0.5 * work + kt * turned
        kept = state[f"{self.name}_rate"]
        packed = _tensor([*masses, *rates, taken, factor], kept)
        m = self.length
        after = {"mass": packed[:, :m], "rate": packed[:, m:-2]}
        after["heat"] = state[f"{self.name}_heat"] + packed[:, -2]
        named = {f"{self.name}_{word}": value for word, value in after.items()}
        return packed[:, -1].to(twice_kinetic.device), {**state, **named}

    def energy(self, state: Mapping[str, Tensor]) -> Tensor:
        """(S,) eV that the chain holds: ½ Σ Q v² and the heat it took, ∫ k_B T (f v₁ + Σ v_k) dt; true for T(t) too."""
        kinetic = (state[f"{self.name}_mass"] * state[f"{self.name}_rate"].square()).sum(1)
        return 0.5 * kinetic + state[f"{self.name}_heat"]

    def _masses(self, temperature: Any, degrees: Any) -> list[Any]:
        one = thermal(np.maximum(temperature, COLDEST) if _many(temperature) else max(temperature, COLDEST))
        one = one * self.square
        return [one * degrees] + [one] * (self.length - 1)


def _act(rates: list[Any], drive: Any, degrees: Any, level: Any, h: float) -> tuple[Any, Any]:
    """Let ``rates`` act for ``h`` fs, and change them.

    All masses but Q₁ = f Q are Q, so that the pulls are 2K/Q₁ − l, f v₁² − l and v_k² − l with one level l = k_B T/Q.

    Args:
        rates: v of the chain, 1/fs.
        drive: 2K/Q₁.
        degrees: f.
        level: l.
        h: fs.

    Returns:
        The factor for the velocities, and f v₁ + Σ v_k.
    """
    last, quarter, half = len(rates) - 1, -0.25 * h, 0.5 * h

    def kick(k: int) -> None:
        before = rates[k - 1]
        pull = (drive if k == 0 else degrees * (before * before) if k == 1 else before * before) - level
        if k == last:
            rates[k] = rates[k] + half * pull
            return
        drag = _exp(quarter * rates[k + 1])
        rates[k] = (rates[k] * drag + half * pull) * drag

    for k in range(last, -1, -1):
        kick(k)
    scale = _exp(rates[0] * -h)
    angle = degrees * rates[0] + sum(rates[1:])
    drive = drive * (scale * scale)
    for k in range(last + 1):
        kick(k)
    return scale, angle


def _many(values: Any) -> bool:
    return isinstance(values, np.ndarray)


def _numbers(values: Tensor) -> Any:
    """(S,) as numpy numbers; one structure, whose arrays would cost ten times the arithmetic, as a plain one."""
    return values.item() if len(values) == 1 else values.cpu().numpy()


def _columns(values: Tensor) -> list[Any]:
    """(S, M) as M of what :func:`_numbers` gives."""
    return values[0].tolist() if len(values) == 1 else list(values.cpu().numpy().T)


def _tensor(columns: list[Any], like: Tensor) -> Tensor:
    """(S, M) of M columns, of which some may be one number for all."""
    shape = like.shape[0], len(columns)
    made = np.stack(np.broadcast_arrays(*columns), -1) if _many(columns[0]) else np.array([columns], dtype=np.float64)
    return torch.from_numpy(np.ascontiguousarray(made).reshape(shape)).to(like.device)


def _exp(x: Any) -> Any:
    """By numpy for one number, too: the exponential of the standard library has other last bits."""
    return np.exp(x) if _many(x) else float(np.exp(x))
