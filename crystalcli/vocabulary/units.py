"""Constants between the units of this program: Å, eV, amu, fs, K, e. The one source of all of them.

The elementary charge, the Boltzmann and the Avogadro constant are exact (SI of 2019); the rest is CODATA 2018,
E. Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021), doi:10.1103/RevModPhys.93.025010.
"""

from __future__ import annotations

from math import pi

ELEMENTARY_CHARGE = 1.602176634e-19
"""C; also 1 eV in J."""
AVOGADRO = 6.02214076e23
"""1/mol."""
ATOMIC_MASS = 1.66053906660e-27
"""1 amu in kg."""
VACUUM_PERMITTIVITY = 8.8541878128e-12
"""ε₀, F/m."""

KB = 1.380649e-23 / ELEMENTARY_CHARGE
"""Boltzmann constant, eV/K."""

ACCELERATION = ELEMENTARY_CHARGE / ATOMIC_MASS * 1e-10
"""(eV/Å)/amu in Å/fs²: force over mass times this is an acceleration."""

GPA = 1e-21 / ELEMENTARY_CHARGE
"""1 GPa in eV/Å³."""

BAR = 1e-4 * GPA
"""1 bar in eV/Å³."""

COULOMB = ELEMENTARY_CHARGE / (4.0 * pi * VACUUM_PERMITTIVITY) * 1e10
"""e²/(4π ε₀), eV Å."""

KJ_PER_MOL = 1e3 / (AVOGADRO * ELEMENTARY_CHARGE)
"""1 kJ/mol in eV."""

BOHR = 0.529177210903
"""Å."""

HARTREE = 27.211386245988
"""eV."""
