"""Relaxer ``barzilai`` and sampler ``andersen`` as a plugin of crystal: the records. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Part, Relaxer, Sampler


@dataclass(frozen=True)
class BarzilaiOptions:
    """Relaxer ``barzilai``."""

    first: float = option(0.02, "first step, per force; also where the energy curves down", unit="Å²/eV", min=1e-5)
    longest: float = option(0.1, "no atom moves farther than this in one step", unit="Å", min=1e-4, max=1.0)


@dataclass(frozen=True)
class AndersenOptions:
    """Sampler ``andersen``."""

    rate: float = option(0.01, "collisions of an atom with the heat bath", unit="1/fs", min=0.0, max=1.0)


def _barzilai(options: BarzilaiOptions) -> Any:
    from crystal_downhill.barzilai import Barzilai

    return Barzilai(options)


def _andersen(options: AndersenOptions) -> Any:
    from crystal_downhill.andersen import Andersen

    return Andersen(options)


BARZILAI = Relaxer(
    name="barzilai",
    summary="steepest descent, its step from the curvature of the last one",
    options=BarzilaiOptions,
    build=_barzilai,
    references=("J. Barzilai, J. M. Borwein, IMA J. Numer. Anal. 8, 141 (1988), doi:10.1093/imanum/8.1.141",),
)
ANDERSEN = Sampler(
    name="andersen",
    summary="constant temperature by collisions with a heat bath",
    options=AndersenOptions,
    build=_andersen,
    provides=frozenset({"temperature"}),
    references=("H. C. Andersen, J. Chem. Phys. 72, 2384 (1980), doi:10.1063/1.439486",),
)


@hookimpl
def crystal_parts() -> list[Part]:
    """Offer the parts of this package."""
    return [BARZILAI, ANDERSEN]
