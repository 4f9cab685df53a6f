"""Constants between the units of this program: Å, eV, amu, fs, K (CODATA 2018)."""

from __future__ import annotations

KB = 8.617333262e-5
"""Boltzmann constant, eV/K."""

ACCELERATION = 9.648533212e-3
"""(eV/Å)/amu in Å/fs²: force over mass times this is an acceleration."""

GPA = 1.0 / 160.21766208
"""1 GPa in eV/Å³."""
