"""Potentials by name that need no files; loads no ASE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Calculator, Part

if TYPE_CHECKING:
    import ase
    from ase.calculators.calculator import BaseCalculator

    from crystalcli.contracts.dynamics import NeighborPotential


@dataclass(frozen=True)
class LennardJonesOptions:
    """Defaults are argon's (Rahman 1964: 120 K, 3.4 Å)."""

    epsilon: float = option(0.01034, "depth of the well", unit="eV", min=0.0)
    sigma: float = option(3.4, "distance of zero energy; the well is at 1.122 sigma", unit="Å", min=0.01)
    rc: float = option(0.0, "cutoff; 0: three sigma", unit="Å", min=0.0)
    smooth: bool = option(True, "energy and forces go to zero smoothly from 0.66 rc on; else the energy is shifted")


@dataclass(frozen=True)
class MorseOptions:
    """Defaults are copper's (Girifalco & Weizer 1959: D = 0.3429 eV, α = 1.3588 1/Å, r₀ = 2.866 Å)."""

    depth: float = option(0.3429, "depth of the well", unit="eV", min=0.0)
    r0: float = option(2.866, "distance of the well", unit="Å", min=0.01)
    alpha: float = option(1.3588, "stiffness", unit="1/Å", min=0.001)
    rc: float = option(0.0, "cutoff, smooth from 0.8 rc on; 0: 2.7 r0", unit="Å", min=0.0)


@dataclass(frozen=True)
class StillingerWeberOptions:
    """Everything else is published."""

    three_body: float = option(1.0, "times the published strength of the three-body term", min=0.0, max=10.0)


def _emt(_options: object) -> NeighborPotential:
    from crystal_calculators.emt import EMT

    return EMT()


def _sw(options: StillingerWeberOptions) -> NeighborPotential:
    from crystal_calculators.stillinger_weber import StillingerWeber

    return StillingerWeber(options.three_body)


def _lj(options: LennardJonesOptions) -> BaseCalculator:
    from ase.calculators.lj import LennardJones

    rc = options.rc or 3.0 * options.sigma
    return LennardJones(epsilon=options.epsilon, sigma=options.sigma, rc=rc, smooth=options.smooth)


def _morse(options: MorseOptions) -> BaseCalculator:
    from ase.calculators.morse import MorsePotential

    reach = (options.rc or 2.7 * options.r0) / options.r0
    return MorsePotential(
        epsilon=options.depth, r0=options.r0, rho0=options.alpha * options.r0, rcut1=0.8 * reach, rcut2=reach
    )


def _alloy() -> ase.Atoms:
    from ase.build import bulk

    atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
    atoms.symbols[[1, 4, 6]] = "Au"
    return atoms


def _argon() -> ase.Atoms:
    from ase.build import bulk

    return bulk("Ar", a=5.3, cubic=True).repeat((2, 1, 1))


def _silicon() -> ase.Atoms:
    from ase.build import bulk

    return bulk("Si", cubic=True)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the calculators."""
    return [
        Calculator(
            name="emt",
            summary="effective-medium theory for Al Ni Cu Pd Ag Pt Au (rough for H C N O); fast enough to try things",
            build=_emt,
            example=_alloy,
            elements=frozenset({1, 6, 7, 8, 13, 28, 29, 46, 47, 78, 79}),
            references=("10.1016/0039-6028(96)00816-3",),
        ),
        Calculator(
            name="sw",
            summary="Stillinger-Weber, for Si or Ge: crystals, melts and glasses",
            options=StillingerWeberOptions,
            build=_sw,
            example=_silicon,
            elements=frozenset({14, 32}),
            references=("10.1103/PhysRevB.31.5262", "10.1103/PhysRevB.34.6987"),
        ),
        Calculator(
            name="lj",
            summary="Lennard-Jones, one kind of pair for all elements; argon by default",
            options=LennardJonesOptions,
            build=_lj,
            example=_argon,
            references=("10.1103/PhysRev.136.A405",),
        ),
        Calculator(
            name="morse",
            summary="Morse pair potential, one kind of pair for all elements; copper by default",
            options=MorseOptions,
            build=_morse,
            example=_alloy,
            references=("10.1103/PhysRev.114.687",),
        ),
    ]
