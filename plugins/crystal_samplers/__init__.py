"""Samplers ``nve``, ``nvt``, ``langevin`` and ``npt``; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_samplers.options import LangevinOptions, NoseHooverOptions, PressureOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import NoOptions
from crystalcli.contracts.records import Part, Sampler

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import SamplerModule


def _nve(_options: NoOptions) -> SamplerModule:
    from crystal_samplers.verlet import VelocityVerlet

    return VelocityVerlet()


def _nvt(options: NoseHooverOptions) -> SamplerModule:
    from crystal_samplers.nose_hoover import NoseHoover

    return NoseHoover(options)


def _langevin(options: LangevinOptions) -> SamplerModule:
    from crystal_samplers.langevin import Langevin

    return Langevin(options)


def _npt(options: PressureOptions) -> SamplerModule:
    from crystal_samplers.barostat import ConstantPressure

    return ConstantPressure(options)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the samplers."""
    return [
        Sampler(
            name="nve",
            summary="constant energy: velocity Verlet",
            build=_nve,
            references=("10.1063/1.442716",),
        ),
        Sampler(
            name="nvt",
            default=True,
            summary="constant temperature, deterministic: Nosé-Hoover chain",
            options=NoseHooverOptions,
            build=_nvt,
            provides=frozenset({"temperature"}),
            references=("10.1063/1.463940", "10.1080/00268979600100761"),
        ),
        Sampler(
            name="langevin",
            summary="constant temperature with friction and noise: BAOAB",
            options=LangevinOptions,
            build=_langevin,
            provides=frozenset({"temperature"}),
            references=("10.1093/amrx/abs010",),
        ),
        Sampler(
            name="npt",
            summary="constant pressure and temperature: Martyna-Tobias-Klein barostat, Nosé-Hoover chains",
            options=PressureOptions,
            build=_npt,
            provides=frozenset({"temperature"}),
            requires=frozenset({"stress"}),
            references=("10.1063/1.467468", "10.1088/0305-4470/39/19/S18"),
        ),
    ]
